//! Tokens that are guessed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use van_pki::{Secret, Token};
use van_testkit::{
    DEADLINE, Echo, Exporter, Sites, Vand, echo_lines, is_refused, temp_dir, wait_until,
};

/// Failed attempts after which an address is not heard for a minute.
const ATTEMPTS: usize = 10;

#[track_caller]
fn peers(vand: &Vand) -> usize {
    vand.get("/v1/peers").unwrap().1["items"].as_array().unwrap().len()
}

#[test]
fn a_guesser_is_not_heard_and_who_is_known_is() {
    let (sites, echo) = (Sites::start(""), Echo::start());
    let (mut laptop, port) = sites.service(echo.port());
    let good = fs::read_to_string(sites.public.token("good", "")).unwrap();

    let mut token = Token::decode(&good).unwrap();
    let guessed = sites.dir().join("guessed.token");
    for _ in 0..ATTEMPTS {
        token.secret = Secret::generate();
        fs::write(&guessed, token.encode()).unwrap();
        let line = format!("export x=127.0.0.1:1 --token {}", guessed.display());
        let errors = Exporter::run(sites.dir(), &line).fails(5);
        assert!(errors.contains("used up"), "{errors}");
    }

    // Now not even the right one opens: an answer would tell the guesser which it is.
    let other = sites.other("other", "");
    other.vanctl().run_with("link create - --name up --wait 0", good.as_bytes()).ok();
    wait_until(DEADLINE, "it was told to wait", || {
        let status = other.ctl("link status up").ok();
        assert!(!status.contains("is connected"), "{status}");
        status.contains("too many attempts")
    });
    let events = sites.public.ctl("events").ok();
    assert!(events.contains("too many attempts"), "{events}");
    assert_eq!(peers(&sites.public), 1);
    let tokens = sites.public.get("/v1/tokens").unwrap().1;
    let kept = tokens["items"].as_array().unwrap().iter().find(|token| token["name"] == "good");
    assert_eq!(kept.unwrap()["status"]["conditions"][0]["status"], "True", "{tokens}");

    // Peers come from that address too, and need no token.
    echo_lines(port, 20).unwrap();
    laptop.kill();
    laptop.start_again();
    laptop.wait_linked();
}

#[test]
fn a_site_that_only_dials_opens_its_link_port_when_asked_and_keeps_it_open() {
    let dir = temp_dir();
    let mut vand = Vand::start(dir.path(), "[site]\nname = \"here\"\n");
    let port = 8263;
    assert!(is_refused(port), "this test needs the link port, {port}, of this host");
    let refused = vand.ctl("token create").fails(1);
    assert!(refused.contains("--accept"), "{refused}");
    assert!(is_refused(port), "nothing is opened unasked");

    vand.ctl("token create --accept").ok();
    assert!(!is_refused(port));
    vand.kill();
    vand.start_again();
    assert!(!is_refused(port), "it lasts");
    vand.ctl("token create").ok();

    vand.ctl("site set accept=false").ok();
    assert!(is_refused(port));
    vand.ctl("site set name=other").fails(2);
    vand.ctl("site set accept=maybe").fails(2);

    let edge = Vand::start(&dir.path().join("edge"), "[site]\nname = \"e\"\nmode = \"edge\"\n");
    assert!(edge.ctl("token create --accept").fails(1).contains("edge"));
}
