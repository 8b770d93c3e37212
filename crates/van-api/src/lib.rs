//! van-api
