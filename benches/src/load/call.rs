//! Calls as gRPC makes them: a small message there and back over HTTP/2, with trailers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::samples::Samples;
use super::{PATIENCE, SMALL, connect};

/// A message of gRPC: not compressed, its length, its bytes.
fn message() -> Bytes {
    let mut bytes = vec![0; 5 + SMALL];
    bytes[4] = SMALL as u8;
    bytes.into()
}

/// Answers the calls of one connection with what they bring.
///
/// # Errors
/// None: a connection that breaks is over.
pub async fn serve(stream: TcpStream) -> std::io::Result<()> {
    let answer = service_fn(|request: Request<Incoming>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
        let mut response = Response::new(body);
        let kind = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", kind);
        Ok::<_, hyper::Error>(response)
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // A client that leaves ends it.
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
    Ok(())
}

/// Calls one after the other for `length`.
///
/// # Errors
/// Where the connection breaks, hangs, or an answer is not the whole one.
pub async fn run(address: SocketAddr, length: Duration) -> Result<Samples> {
    let io = TokioIo::new(connect(address).await?);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::select! {
        ended = connection => bail!("the connection ended: {ended:?}"),
        called = calls(&mut sender, length) => called,
    }
}

async fn calls(sender: &mut SendRequest<Full<Bytes>>, length: Duration) -> Result<Samples> {
    let (mut times, sent) = (Samples::default(), message());
    let end = Instant::now() + length;
    while Instant::now() < end {
        let request = Request::post("http://calls/bench.Calls/Echo")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(sent.clone()))?;
        let start = Instant::now();
        let call = async {
            let response = sender.send_request(request).await?;
            response.into_body().collect().await
        };
        let body = timeout(PATIENCE, call).await.context("the answer hangs")??;
        times.push(start.elapsed());
        let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
        ensure!(status.is_some_and(|status| status == "0"), "a call failed: {status:?}");
        ensure!(body.to_bytes() == sent, "a call brought other bytes");
    }
    Ok(times)
}
