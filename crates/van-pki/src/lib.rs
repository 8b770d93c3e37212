//! van-pki
