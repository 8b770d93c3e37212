//! van-site
