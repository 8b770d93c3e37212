//! van-net
