//! van-testkit
