//! A user's own site, without root, beside the host's.

use van_lab::Lab;

use crate::{answers, asks, wait_for};

#[test]
fn a_user_runs_a_site_of_their_own_and_it_outlives_the_session() {
    let lab = Lab::new();
    let mut host = lab.public("shared", 10);
    host.install_accepting();
    let _lingers = host.sh("loginctl enable-linger op").ok();
    let user = |host: &van_lab::Host, line: &str| {
        host.sh_as_user(&format!("export XDG_RUNTIME_DIR=/run/user/1000; {line}"))
    };
    wait_for(&host, "systemctl is-active user@1000");
    let config = "mkdir -p ~/.config/vand && printf '[site]\\nname = \"op-site\"\\n' >~/.config/vand/vand.toml";
    let _written = user(&host, config).ok();
    let _started = user(&host, "systemctl --user enable --now vand 2>&1").ok();
    let own = "vanctl --url unix://$XDG_RUNTIME_DIR/vand/vand.sock";
    let status = user(&host, &format!("{own} -o json status")).json();
    assert_eq!(status["name"], "op-site");

    let token = host.vanctl("token create").ok();
    host.write("/home/op/token", "");
    let _written = user(&host, &format!("printf %s '{}' >~/my.token", token.trim())).ok();
    let _linked = user(&host, &format!("{own} link create ~/my.token")).ok();
    let workload = answers(&host, 7000, "mine");
    let _exposed = user(&host, &format!("{own} expose 127.0.0.1:7000 --address mine")).ok();
    let place = host.wait_import("mine");
    wait_for(&host, &asks(&place, "mine"));

    let _reloaded = user(&host, "systemctl --user reload vand").ok();
    let _broken = user(&host, "echo nonsense >>~/.config/vand/vand.toml").ok();
    assert_ne!(user(&host, "systemctl --user reload vand").status, 0);
    let _mended = user(&host, config).ok();

    drop(workload);
    host.reboot();
    let _workload = answers(&host, 7000, "mine");
    wait_for(&host, &asks(&place, "mine"));
    assert_eq!(host.sh("ps -o user= -C vand | sort | xargs").ok().trim(), "op vand");
}
