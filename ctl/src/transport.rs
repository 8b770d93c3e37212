//! A byte stream to the daemon, as its URL says.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::{Exit, Outcome, Problem, reason};
use crate::kube::{self, Cluster};
use crate::url::Url;

/// How long an ended ssh may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much of ssh's messages is kept.
const WORDS_MAX: u64 = 8 << 10;

/// A stream to the daemon.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream, and the program that carries it where there is one.
pub(crate) struct Transport {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) carrier: Option<Carrier>,
}

impl Transport {
    pub(crate) async fn open(url: &Url) -> Outcome<Self> {
        match url {
            Url::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| unreachable(path, &e))?;
                Ok(Self { stream: Box::new(stream), carrier: None })
            }
            Url::Ssh { destination, port } => Carrier::start(destination, *port),
            Url::Kube(namespace) => {
                let cluster = Cluster::open(namespace).await?;
                Ok(Self { stream: kube::connect(&cluster).await?, carrier: None })
            }
        }
    }
}

/// Why the daemon's socket can't be used.
pub(crate) fn unreachable(path: &Path, error: &io::Error) -> Problem {
    let why = format!("can't reach the daemon at {}: {}", path.display(), reason(error));
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Problem::new(Exit::NotAllowed, why)
            .hint("add the user to the group: sudo usermod -aG vand USER, and log in again");
    }
    Problem::new(Exit::Unreachable, why).hint("is vand running? systemctl status vand")
}

/// The ssh that carries a stream; it ends with it.
pub(crate) struct Carrier {
    destination: String,
    child: Child,
}

impl Carrier {
    fn start(destination: &str, port: Option<u16>) -> Outcome<Transport> {
        let program = std::env::var_os("VANCTL_SSH")
            .filter(|program| !program.is_empty())
            .unwrap_or_else(|| "ssh".into());
        let mut command = Command::new(&program);
        command.args(["-T", "-o", "BatchMode=yes"]);
        if let Some(port) = port {
            command.arg("-p").arg(port.to_string());
        }
        command.args(["--", destination, "vanctl", "api-proxy"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| {
            let program = Path::new(&program).display();
            Problem::new(Exit::Unreachable, format!("can't run {program}: {}", reason(&error)))
                .hint("install an ssh client, or name one in VANCTL_SSH")
        })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Problem::new(Exit::Unreachable, "ssh has no pipes"));
        };
        let carrier = Self { destination: destination.into(), child };
        Ok(Transport { stream: Box::new(Pipes { output, input }), carrier: Some(carrier) })
    }

    /// Why the stream ended before there was an answer.
    pub(crate) async fn last_words(mut self) -> Problem {
        let mut words = String::new();
        let told = async {
            if let Some(errors) = self.child.stderr.take() {
                // What can't be read is as good as nothing said.
                let _unread = errors.take(WORDS_MAX).read_to_string(&mut words).await;
            }
            self.child.wait().await
        };
        let status = tokio::time::timeout(LAST_WORDS, told).await.ok().and_then(Result::ok);
        explain(&self.destination, status, &words)
    }
}

/// Reads what ssh, or the `vanctl` at its far end, said last.
fn explain(destination: &str, status: Option<ExitStatus>, words: &str) -> Problem {
    let lines = || words.lines().map(str::trim).filter(|line| !line.is_empty());
    let hint = lines().find_map(|line| line.strip_prefix("hint: "));
    let far = lines().find_map(|line| line.strip_prefix("vanctl: api-proxy failed: "));
    let why = far.or_else(|| lines().rfind(|line| !line.starts_with("hint: ")));
    let code = status.and_then(|status| status.code());
    let exit = match code {
        Some(5) => Exit::NotAllowed,
        _ => Exit::Unreachable,
    };
    let why = why.map_or_else(
        || match code {
            Some(code) => format!("ssh ended with status {code}"),
            None => "ssh ended".into(),
        },
        str::to_owned,
    );
    let problem =
        Problem::new(exit, format!("can't reach the daemon over ssh at {destination}: {why}"));
    match hint {
        Some(hint) => problem.hint(hint),
        None if code == Some(127) => {
            problem.hint(format!("vanctl must be installed at {destination}"))
        }
        None => problem.hint(format!("try: ssh {destination} vanctl status")),
    }
}

/// The standard input and output of a program as one stream.
struct Pipes {
    output: ChildStdout,
    input: ChildStdin,
}

impl AsyncRead for Pipes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_far_end_is_quoted() {
        let ended = |code: i32| Some(ExitStatus::from_raw(code << 8));
        let words = "banner\nvanctl: api-proxy failed: no socket\nhint: is vand running?\n";
        let far = explain("db", ended(3), words);
        assert_eq!(far.exit, Exit::Unreachable);
        assert_eq!(far.why, "can't reach the daemon over ssh at db: no socket");
        assert_eq!(far.hint.as_deref(), Some("is vand running?"));
        assert_eq!(explain("db", ended(5), words).exit, Exit::NotAllowed);
        let ssh = explain("db", ended(255), "ssh: connect to host db port 22: refused\n");
        assert!(ssh.why.ends_with("ssh: connect to host db port 22: refused"), "{ssh:?}");
        assert!(explain("db", ended(127), "").hint.unwrap().contains("must be installed"));
        assert!(explain("db", None, "").why.ends_with("ssh ended"));
    }

    #[test]
    fn a_closed_door_is_not_an_absent_daemon() {
        let path = Path::new("/run/x");
        let denied = unreachable(path, &io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.exit, Exit::NotAllowed);
        assert!(denied.hint.unwrap().contains("usermod -aG vand"));
        assert_eq!(unreachable(path, &io::ErrorKind::NotFound.into()).exit, Exit::Unreachable);
    }
}
