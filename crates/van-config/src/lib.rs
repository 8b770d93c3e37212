//! van-config
