//! Sites that `vanctl init` makes and `vanctl delete` takes away, where systemd runs them.

use van_lab::Lab;

use crate::wait_for;

#[test]
fn the_hosts_site_is_changed_in_place_taken_away_and_made_again() {
    let lab = Lab::new();
    let host = lab.public("made", 10);
    let _said = host.install();
    // The package runs one already.
    let said = host.vanctl("init").ok();
    assert!(said.contains("nothing to do") && said.contains("Go on with"), "{said}");
    let (id, process) = (host.site_id(), host.unit("vand", "MainPID"));
    let comments = "grep -c '^#' /etc/vand/vand.toml";
    let before: u32 = host.sh(comments).ok().trim().parse().unwrap();

    let plan = host.vanctl("init --site-name db-host --dry-run").ok();
    assert!(plan.contains("systemctl reload vand.service"), "{plan}");
    let said = host.vanctl("init --site-name db-host").ok();
    assert!(
        said.contains("site.name = \"db-host\"") && said.contains("site \"db-host\""),
        "{said}"
    );
    assert_eq!(host.ask("status")["name"], "db-host");
    assert_eq!((host.site_id(), host.unit("vand", "MainPID")), (id.clone(), process));
    // One line of them is the heading now.
    assert_eq!(host.sh(comments).ok().trim(), (before - 1).to_string());
    assert_eq!(host.sh("stat -c '%a %U %G' /etc/vand/vand.toml").ok().trim(), "644 root root");
    let refused = host.sh_as_user("vanctl --url unix:///run/vand/vand.sock init").fails(5);
    assert!(refused.contains("hint: sudo vanctl init"), "{refused}");

    host.write("/etc/vand/conf.d/bad.toml", "[sight]\n");
    let refused = host.vanctl("init --site-name other").fails(1);
    assert!(refused.contains("/etc/vand/conf.d/bad.toml:1"), "{refused}");
    assert_eq!(host.sh("grep -c '\"other\"' /etc/vand/vand.toml").stdout.trim(), "0");
    let _mended = host.sh("rm /etc/vand/conf.d/bad.toml").ok();

    let _second = host.sh("systemctl start vand@second").ok();
    let _asked = host.vanctl("delete").fails(2);
    assert_eq!(host.site_id(), id);
    let said = host.vanctl("delete --yes").ok();
    assert!(said.contains("The configuration stays: /etc/vand/vand.toml"), "{said}");
    for unit in ["vand.service", "vand.socket"] {
        assert_eq!(host.unit(unit, "ActiveState"), "inactive", "{unit}");
        assert_eq!(host.unit(unit, "UnitFileState"), "disabled", "{unit}");
    }
    assert_eq!(host.unit("vand@second", "ActiveState"), "active");
    assert_eq!(
        host.sh("ls -A /var/lib/vand /var/lib/vand/sites").ok().matches("second").count(),
        1
    );
    assert_eq!(host.sh("ls /var/lib/vand").ok().trim(), "sites");
    let none = host.vanctl("delete --yes").fails(4);
    assert!(none.contains("there is nothing of the host's site"), "{none}");

    let said = host.vanctl("init").ok();
    assert!(said.contains("vand.socket, vand.service started"), "{said}");
    assert_ne!(host.site_id(), id);
    assert_eq!(host.ask("status")["name"], "db-host");
    assert_eq!(host.unit("vand", "UnitFileState"), "enabled");
    let _gone = host.vanctl("delete --purge --yes").ok();
    assert_eq!(host.sh("ls /etc/vand/vand.toml").status, 2);
    let said = host.vanctl("init --site-name anew").ok();
    assert!(said.contains("vand.toml written"), "{said}");
    assert_eq!(host.ask("status")["name"], "anew");
}

#[test]
fn a_user_makes_a_site_that_outlives_the_session() {
    let lab = Lab::new();
    let host = lab.public("shared", 10);
    let _said = host.install();
    let _lingers = host.sh("loginctl enable-linger op").ok();
    wait_for(&host, "systemctl is-active user@1000");
    // A login by another way than pam_systemd's has no XDG_RUNTIME_DIR.
    let user = |line: &str| host.sh_as_user(&format!("unset XDG_RUNTIME_DIR; {line}"));
    let made = user("vanctl init --site-name op-site");
    assert!(!made.stderr.contains("linger"), "{}", made.stderr);
    let said = made.ok();
    assert!(said.contains("vand.service started") && said.contains("site \"op-site\""), "{said}");
    let own = "vanctl --url unix:///run/user/1000/vand/vand.sock";
    assert_eq!(user(&format!("{own} -o json status")).json()["name"], "op-site");
    assert_eq!(host.ask("status")["name"], "shared");

    let _gone = user("vanctl delete --yes").ok();
    let _none = user("vanctl delete --yes").fails(4);
    assert_eq!(host.ask("status")["name"], "shared");
    let _config =
        user("test -f ~/.config/vand/vand.toml && ! test -e ~/.local/state/vand/identity.key").ok();
    let _off = host.sh("loginctl disable-linger op").ok();
}
