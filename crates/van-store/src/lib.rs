//! van-store
