//! van-routing
