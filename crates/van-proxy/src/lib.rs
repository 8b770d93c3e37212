//! van-proxy
