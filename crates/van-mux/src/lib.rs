//! van-mux
