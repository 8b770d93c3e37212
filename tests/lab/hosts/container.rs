//! Containers that have the host's own programs in them.

use van_lab::Host;

/// An image with nothing of its own: programs are the host's, mounted by [`OPTIONS`].
const IMAGE: &str = "localhost/base";

/// How podman runs a container of [`IMAGE`].
const OPTIONS: &str = "--volume /usr:/usr:ro";

/// Makes [`IMAGE`] of nothing, since no registry can be reached.
#[track_caller]
pub(crate) fn image(host: &Host) {
    let line = format!(
        "mkdir /srv/image && cd /srv/image && mkdir dev etc proc run sys tmp usr && \
         ln -s usr/bin usr/sbin usr/lib usr/lib64 . && tar -c . | podman import --quiet - {IMAGE}"
    );
    let _made = host.sh(&line).ok();
}

/// The line of shell that runs a command in a container of a network.
pub(crate) fn within(network: &str, command: &str) -> String {
    format!("podman run --rm --network={network} {OPTIONS} {IMAGE} {command}")
}
