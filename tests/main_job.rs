//! The main job: services of two sites over one link, whoever dialled it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use van_testkit::{
    DEADLINE, Echo, Exporter, Sites, Vand, echo_lines, echoes, free_port, is_refused, temp_dir,
    wait_until,
};

#[test]
fn an_exporter_offers_a_local_service_in_one_command() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let public = &sites.public;
    let token = public.token("public", "");
    let created = public.ctl(&format!("listener create echo 127.0.0.1:{port} --address echo"));
    assert!(created.stderr.contains("note: no target yet"), "{created:?}");
    created.ok();
    assert!(is_refused(port), "nobody offers the service yet");

    let home = sites.dir().join("home");
    std::fs::create_dir(&home).unwrap();
    let export = format!("export echo=127.0.0.1:{} --token {}", echo.port(), token.display());
    let mut exporter = Exporter::start(&home, &export);
    exporter.wait_for("echo");
    wait_until(DEADLINE, "the service was there", || echoes(port));
    echo_lines(port, 1_000).unwrap();

    let status = public.ctl("status").ok();
    assert!(status.contains("vand is enabled for site \"public\" in interior mode."), "{status}");
    assert!(status.contains("It is connected to 1 other sites."), "{status}");

    let ended = exporter.terminate(DEADLINE);
    assert!(ended.success(), "{ended}");
    wait_until(DEADLINE, "the port refused again", || is_refused(port));
    let left: Vec<_> = std::fs::read_dir(&home).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["exporter.log"], "it leaves nothing behind");
}

#[test]
fn an_importer_is_the_mirror() {
    let (sites, echo, port) = (Sites::start(""), Echo::start(), free_port());
    let public = &sites.public;
    let token = public.token("public", "");
    public.ctl(&format!("expose 127.0.0.1:{} --address echo", echo.port())).ok();
    let import = format!("import echo=127.0.0.1:{port} --token {}", token.display());
    let mut importer = Exporter::start(sites.dir(), &import);
    wait_until(DEADLINE, "the service was there", || echoes(port));
    echo_lines(port, 100).unwrap();
    assert!(importer.terminate(DEADLINE).success());
}

#[test]
fn services_go_both_ways_over_one_link() {
    let (echo_at_laptop, echo_at_public) = (Echo::start(), Echo::start());
    let (at_public, at_laptop) = (free_port(), free_port());
    let sites = Sites::start("");
    let (public, laptop) = (&sites.public, &sites.linked("laptop", ""));
    laptop.ctl(&format!("expose 127.0.0.1:{} --address up", echo_at_laptop.port())).ok();
    public.ctl(&format!("expose 127.0.0.1:{} --address down", echo_at_public.port())).ok();
    public.ctl(&format!("listener create up 127.0.0.1:{at_public}")).ok();
    laptop.ctl(&format!("listener create down 127.0.0.1:{at_laptop}")).ok();
    for port in [at_public, at_laptop] {
        wait_until(DEADLINE, "the service was there", || echoes(port));
    }
    let threads: Vec<_> = [at_public, at_laptop]
        .into_iter()
        .cycle()
        .take(16)
        .map(|port| std::thread::spawn(move || echo_lines(port, 500)))
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert!(echo_at_laptop.accepted() >= 8 && echo_at_public.accepted() >= 8);
    for vand in [public, laptop] {
        let (_, links) = vand.get("/v1/links").unwrap();
        assert_eq!(links["items"].as_array().unwrap().len(), 1, "one link: {links}");
    }
    let direction =
        |vand: &Vand| vand.get("/v1/links").unwrap().1["items"][0]["status"]["direction"].clone();
    assert_eq!((direction(public), direction(laptop)), ("incoming".into(), "outgoing".into()));
}

#[test]
fn configuration_files_do_the_same() {
    let (echo, port) = (Echo::start(), free_port());
    let listener =
        format!("[[listener]]\nname = \"l\"\naddress = \"echo\"\nbind = \"127.0.0.1:{port}\"\n");
    let connector = format!(
        "[[connector]]\nname = \"c\"\naddress = \"echo\"\ntarget = \"127.0.0.1:{}\"\n",
        echo.port()
    );
    let mut sites = Sites::start(&listener);
    let mut laptop = sites.linked("laptop", &connector);
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let services = sites.public.ctl("service status").ok();
    assert!(services.contains("echo") && services.contains("laptop: 1"), "{services}");

    // Asked to end, both do so in order and at once.
    for vand in [&mut laptop, &mut sites.public] {
        let ended = vand.terminate(Duration::from_secs(10));
        assert!(ended.success(), "{ended}: {}", vand.log());
    }
}

#[test]
fn a_listener_without_target_refuses_and_keeps_its_port() {
    let (echo, port) = (Echo::start(), free_port());
    let listener =
        format!("[[listener]]\nname = \"l\"\naddress = \"echo\"\nbind = \"127.0.0.1:{port}\"\n");
    let sites = Sites::start(&listener);
    let laptop = sites.linked("laptop", "");
    let bound = || std::net::TcpListener::bind(("127.0.0.1", port)).is_err();
    let accepting = || {
        let (_, listener) = sites.public.get("/v1/listeners/l").unwrap();
        listener["status"]["accepting"].as_bool().unwrap()
    };
    assert!(is_refused(port) && bound() && !accepting());
    let target = format!("127.0.0.1:{}", echo.port());
    for _ in 0..3 {
        laptop.ctl(&format!("expose {target} --address echo")).ok();
        wait_until(DEADLINE, "the service was there", || echoes(port));
        assert!(bound() && accepting());
        laptop.ctl(&format!("unexpose {target}")).ok();
        wait_until(DEADLINE, "the port refused", || is_refused(port));
        assert!(bound());
        wait_until(DEADLINE, "the status said so", || !accepting());
    }
    let (_, listener) = sites.public.get("/v1/listeners/l").unwrap();
    let ready = &listener["status"]["conditions"][0];
    assert_eq!((&ready["type"], &ready["status"]), (&"Ready".into(), &"False".into()), "{ready}");
    assert_ne!(ready["message"], "", "the condition says why: {ready}");
}

#[test]
fn unix_sockets_serve_and_are_served() {
    let (dir, echo, port) = (temp_dir(), Echo::start(), free_port());
    let here = dir.path().join("a.sock");
    let sites = Sites::start("");
    let laptop = sites.linked("laptop", "");
    // The one daemon's listening socket is the other's target.
    laptop.ctl(&format!("expose 127.0.0.1:{} --address first", echo.port())).ok();
    sites.public.ctl(&format!("listener create first unix:{}", here.display())).ok();
    wait_until(DEADLINE, "the socket answered", || {
        std::os::unix::net::UnixStream::connect(&here).is_ok()
    });
    sites.public.ctl(&format!("expose unix:{} --address second", here.display())).ok();
    laptop.ctl(&format!("listener create second 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    echo_lines(port, 200).unwrap();
    assert!(sites.public.ctl("listener delete first").ok().contains("first"));
    wait_until(DEADLINE, "the socket's file was gone", || !here.exists());
}

#[test]
fn several_connectors_share_the_load() {
    let (one, two, port) = (Echo::start(), Echo::start(), free_port());
    let sites = Sites::start("");
    let laptop = sites.linked("laptop", "");
    for (name, echo) in [("one", &one), ("two", &two)] {
        let target = format!("127.0.0.1:{}", echo.port());
        laptop.ctl(&format!("connector create {name} {target} --address echo")).ok();
    }
    sites.public.ctl(&format!("listener create echo 127.0.0.1:{port}")).ok();
    wait_until(DEADLINE, "the service was there", || echoes(port));
    let before = (one.accepted(), two.accepted());
    for _ in 0..40 {
        echo_lines(port, 1).unwrap();
    }
    let shares = (one.accepted() - before.0, two.accepted() - before.1);
    assert!(shares.0 >= 10 && shares.1 >= 10, "{shares:?}");

    // One of them goes: no client sees it.
    drop(two);
    for _ in 0..20 {
        echo_lines(port, 1).unwrap();
    }
}

#[test]
fn the_first_sentence_of_a_link_is_kept() {
    let sites = Sites::start("");
    let laptop = sites.linked("laptop", "");
    let text = laptop.ctl("link status link1").ok();
    assert!(text.starts_with("Link link1 is connected\n"), "{text}");
    let ping = laptop.ctl("ping public -c 2 -i 10ms").ok();
    assert!(ping.contains("reply from public"), "{ping}");
}
