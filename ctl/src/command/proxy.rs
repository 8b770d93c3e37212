//! `vanctl api-proxy`: joins standard input and output to the daemon's socket.

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::error::{Outcome, Problem, reason};
use crate::transport::unreachable;
use crate::url::Url;

/// Bytes read at once.
const BUFFER: usize = 16 << 10;

pub(super) async fn run(url: &Url) -> Outcome {
    let Url::Unix(path) = url else {
        return Err(Problem::usage("it joins a Unix socket only").hint("use --url unix:///path"));
    };
    let stream = UnixStream::connect(path).await.map_err(|error| unreachable(path, &error))?;
    let (mut from, mut to) = stream.into_split();
    let upwards = async {
        // The end of the input is handed on, and the answer is waited for.
        let sent = io::copy(&mut io::stdin(), &mut to).await;
        let ended = to.shutdown().await;
        sent.and(ended)
    };
    let downwards = async {
        let (mut output, mut buffer) = (io::stdout(), vec![0; BUFFER]);
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return io::Result::Ok(());
            }
            output.write_all(&buffer[..read]).await?;
            output.flush().await?;
        }
    };
    let (mut upwards, mut downwards) = (std::pin::pin!(upwards), std::pin::pin!(downwards));
    let done = tokio::select! {
        biased;
        // When the daemon has ended its side there is nothing left to join.
        done = downwards.as_mut() => done,
        sent = upwards.as_mut() => match downwards.await {
            Ok(()) => ignore_gone(sent),
            failed => failed,
        },
    };
    done.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => error.into(),
        _ => Problem::failed(format!("the stream broke: {}", reason(&error))),
    })
}

/// A daemon that answered and closed before it read everything has done its part.
fn ignore_gone(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}
