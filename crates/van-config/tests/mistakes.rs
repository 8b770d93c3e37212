//! Every class of mistake, with the line and column at which it is told.

use van_config::{File, Input, MAX_FILE_BYTES, load};

fn input(files: &[(&str, &str)], env: &[(&str, &str)]) -> Input {
    let file = |(path, text): &(&str, &str)| File { path: (*path).into(), bytes: (*text).into() };
    Input {
        files: files.iter().map(file).collect(),
        env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        host_name: "box.example.com".into(),
    }
}

#[track_caller]
fn told(files: &[(&str, &str)], env: &[(&str, &str)], expected: &[&str]) {
    let mistakes = load(&input(files, env)).expect_err("there are mistakes");
    let shown: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected);
    assert_eq!(mistakes.to_string(), expected.join("\n"));
}

#[track_caller]
fn one(text: &str, expected: &str) {
    told(&[("vand.toml", text)], &[], &[expected]);
}

#[test]
fn unknown_section() {
    let sections = "accepted: [site], [accept], [[link]], [[connector]], [[listener]], [services], \
                    [podman], [identity], [api], [console], [metrics], [tracing], [log], [limits]";
    one(
        "\n[acept]\nlisten = []\n",
        &format!(
            "vand.toml:2:2: acept: unknown section \"acept\"; did you mean \"accept\"? {sections}"
        ),
    );
    one("[policy]\n", &format!("vand.toml:1:2: policy: unknown section \"policy\"; {sections}"));
    one(
        "[[policy]]\nname = \"x\"\n",
        &format!("vand.toml:1:3: policy: unknown section \"policy\"; {sections}"),
    );
}

#[test]
fn unknown_key() {
    one(
        "[site]\n  nmae = \"x\"\n",
        "vand.toml:2:3: site.nmae: unknown key \"nmae\"; did you mean \"name\"? \
         accepted: name, mode, labels",
    );
    one(
        "[[connector]]\nname = \"pg\"\ntarget = \"a:1\"\nimage = \"pg\"\n",
        "vand.toml:4:1: connector.pg.image: unknown key \"image\"; accepted: name, \
         address, protocol, target, container, pod, port, service_port, check, check_idle, check_interval, \
         check_timeout, check_failures, check_successes, proxy_protocol, priority, weight, tls",
    );
}

#[test]
fn containers_and_pods() {
    let connector = |keys: &str| format!("[[connector]]\nname = \"pg\"\n{keys}\n");
    for (keys, mistake) in [
        (
            "container = \"pg\"",
            "vand.toml:1:1: connector.pg.port: missing key \"port\"; write beside it port = PORT, \
             the port inside the container",
        ),
        (
            "port = 5432",
            "vand.toml:1:1: connector.pg.target: missing key \"target\"; [[connector]] needs name, \
             and one of target, container, pod",
        ),
        (
            "container = \"pg\"\npod = \"shop\"\nport = 1",
            "vand.toml:4:7: connector.pg.pod: container and pod say two places; keep one of \
             target, container, pod",
        ),
        (
            "target = \"a:1\"\nport = 1",
            "vand.toml:4:8: connector.pg.port: the port stands in the target already; write \
             target = \"HOST:PORT\"",
        ),
        (
            "container = \"a/b\"\nport = 1",
            "vand.toml:3:13: connector.pg.container: \"a/b\" is no name of a container or pod; \
             accepted: letters, digits, '_', '.' and '-', at most 128, the first no sign",
        ),
    ] {
        one(&connector(keys), mistake);
    }
    one(
        "[podman]\nusers = [\"a b\"]\n",
        "vand.toml:2:10: podman.users: \"a b\" is no user; accepted: a user's name or number, \
         letters, digits, '_', '-' and '.'",
    );
}

#[test]
fn wrong_type() {
    one(
        "[site]\nname = 3\n",
        "vand.toml:2:8: site.name: wrong type: a whole number where a string is expected; \
         accepted: a-z, 0-9 and '-', at most 63 characters",
    );
    one(
        "[limits]\nflows = \"many\"\n",
        "vand.toml:2:9: limits.flows: wrong type: a string where a whole number is expected; \
         accepted: 1 to 1000000",
    );
    one(
        "[accept]\nlisten = \"[::]:8263\"\n",
        "vand.toml:2:10: accept.listen: wrong type: a string where a list of strings is expected; \
         accepted: a list of IP addresses with port, as [\"[::]:8263\"]",
    );
    one(
        "[[connector]]\nname = \"a\"\ntarget = \"a:1\"\nproxy_protocol = 1\n",
        "vand.toml:4:18: connector.a.proxy_protocol: wrong type: a whole number where true or \
         false is expected; accepted: true, false",
    );
}

#[test]
fn wrong_shape() {
    one(
        "[link]\nname = \"x\"\n",
        "vand.toml:1:1: link: wrong type: this section is a list of tables; write [[link]]",
    );
    one(
        "[[site]]\nname = \"x\"\n",
        "vand.toml:1:1: site: wrong type: this section is one table; write [site]",
    );
}

#[test]
fn out_of_range() {
    let link = "[[link]]\nname = \"l\"\ntoken = \"t\"\n";
    for bad in ["0", "65536", "-1", "99999999999999999999"] {
        one(
            &format!("{link}cost = {bad}\n"),
            &format!("vand.toml:4:8: link.l.cost: {bad} is out of range; accepted: 1 to 65535"),
        );
    }
    let connector = "[[connector]]\nname = \"c\"\ntarget = \"a:1\"\n";
    for (key, least) in [("service_port", 1), ("weight", 1), ("priority", 0)] {
        one(
            &format!("{connector}{key} = 65536\n"),
            &format!(
                "vand.toml:4:{}: connector.c.{key}: 65536 is out of range; accepted: {least} to 65535",
                key.len() + 4
            ),
        );
    }
    for bad in ["0", "1_000_001"] {
        let shown = bad.replace('_', "");
        one(
            &format!("[limits]\nflows = {bad}\n"),
            &format!(
                "vand.toml:2:9: limits.flows: {shown} is out of range; accepted: 1 to 1000000"
            ),
        );
    }
    for (bad, why) in [
        ("65535", "65535 is out of range"),
        ("\"257MiB\"", "257MiB is out of range"),
        ("\"16MB\"", "\"16MB\" is no size"),
    ] {
        one(
            &format!("[limits]\nflow_window_max = {bad}\n"),
            &format!("vand.toml:2:19: limits.flow_window_max: {why}; accepted: 64KiB to 256MiB"),
        );
    }
}

#[test]
fn names_and_words() {
    one(
        "[site]\nname = \"Db_Host\"\n",
        "vand.toml:2:8: site.name: \"Db_Host\": use a-z, 0-9 and '-', with a letter or digit at \
         both ends",
    );
    one(
        "[site]\nmode = \"eddge\"\n",
        "vand.toml:2:8: site.mode: \"eddge\" is not one of interior, edge",
    );
    one(
        "[log]\nlevel = \"loud\"\n",
        "vand.toml:2:9: log.level: \"loud\" is no log level; accepted: error, warn, info, debug, \
         trace, or a filter as in RUST_LOG",
    );
    told(
        &[("vand.toml", "[api]\ngroup = \"a b\"\nsocket = \"x.sock\"\n")],
        &[],
        &[
            "vand.toml:2:9: api.group: \"a b\" is no group name; accepted: the name of a user group, \
         letters, digits, '_', '-' and '.', at most 32",
            "vand.toml:3:10: api.socket: \"x.sock\" can't be the path of a socket; accepted: an \
         absolute path of at most 107 bytes",
        ],
    );
}

#[test]
fn a_routes_mistake_stands_at_its_key() {
    let listener = |protocol: &str, routes: &str| {
        format!(
            "[[listener]]\nname = \"x\"\nprotocol = \"{protocol}\"\nbind = \"a:1\"\nroutes = [{routes}]\n"
        )
    };
    for (routes, at, expected) in [
        (
            "{ path = \"/\" }",
            "5:11",
            "route 1: to: a route leads to 1 to 16 addresses; write to = \"ADDRESS\"",
        ),
        (
            "{ to = \"a\" }, { paht = \"/\", to = \"a\" }",
            "5:27",
            "route 2: unknown key \"paht\"; did you mean \
          \"path\"? accepted: host, path, path_exact, method, headers, query, to, rewrite_host, rewrite_path, \
          set_headers, remove_headers, timeout",
        ),
        (
            "{ path = \"api\", to = \"a\" }",
            "5:20",
            "route 1: path: a path begins with / and has no ?, # or blank",
        ),
        (
            "{ method = \"get\", to = \"a\" }",
            "5:22",
            "route 1: method: a method is written in capitals, as \"GET\"",
        ),
        (
            "{ to = [{ address = \"a\", weight = 70000 }] }",
            "5:18",
            "route 1: to: 70000 is no weight; accepted: 0 to 65535",
        ),
        (
            "{ to = \"a\", timeout = \"2h\" }",
            "5:33",
            "route 1: timeout: \"2h\" can't be used; accepted: a \
          duration from 1ms to 1h, as \"30s\"",
        ),
        (
            "{ to = \"a\", headers = { a = 1 } }",
            "5:33",
            "route 1: headers: wrong type: a whole number where a \
          string is expected; write it in quotes",
        ),
        (
            "\"a\"",
            "5:11",
            "wrong type: a string where a table is expected; write { path = \"/api\", to = \"api\" }",
        ),
    ] {
        let expected = format!("vand.toml:{at}: listener.x.routes: {expected}");
        one(&listener("http", routes), &expected);
    }
    one(
        &listener("tcp", "{ host = \"a.b\", path = \"/\", to = \"a\" }"),
        "vand.toml:5:10: listener.x.routes: route 1: path: protocol \"tcp\" routes by the TLS server name: \
         only host and to are known; take it out, or set protocol = \"http\"",
    );
    one(
        &listener("udp", "{ to = \"a\" }"),
        "vand.toml:5:10: listener.x.routes: route 1: to: datagrams have no routes; take routes out",
    );
}

#[test]
fn datagrams_go_to_ports_for_a_bounded_time() {
    let hint = "protocol \"udp\" takes host:port, in a connector also a container or pod";
    one(
        "[[listener]]\nname = \"x\"\nprotocol = \"udp\"\nbind = \"unix:/x\"\n",
        &format!("vand.toml:4:8: listener.x.bind: a Unix socket takes no datagrams here; {hint}"),
    );
    one(
        "[[connector]]\nname = \"x\"\nprotocol = \"udp\"\ntarget = \"unix:/x\"\n",
        &format!(
            "vand.toml:4:10: connector.x.target: a Unix socket takes no datagrams here; {hint}"
        ),
    );
    one(
        "[[connector]]\nname = \"x\"\nprotocol = \"udp\"\ntarget = \"a:1\"\nproxy_protocol = true\n",
        "vand.toml:5:18: connector.x.proxy_protocol: datagrams carry no PROXY protocol header; take \
         proxy_protocol out",
    );
    for time in ["999ms", "61m", "soon"] {
        one(
            &format!(
                "[[listener]]\nname = \"x\"\nprotocol = \"udp\"\nbind = \"a:1\"\nudp_idle = \"{time}\"\n"
            ),
            &format!(
                "vand.toml:5:12: listener.x.udp_idle: \"{time}\" can't be used; accepted: a duration \
                 from 1s to 1h, as \"60s\""
            ),
        );
    }
}

#[test]
fn what_is_no_protocol() {
    one(
        "[[listener]]\nname = \"x\"\nbind = \"a:1\"\nprotocol = \"tpc\"\n",
        "vand.toml:4:12: listener.x.protocol: \"tpc\" is no protocol; accepted: \"tcp\", \
         \"http\", \"http2\", \"udp\"",
    );
}

#[test]
fn times_and_counts_of_checks() {
    for time in ["2", "50ms", "2h", "soon"] {
        one(
            &format!(
                "[[connector]]\nname = \"x\"\ntarget = \"a:1\"\ncheck_interval = \"{time}\"\n"
            ),
            &format!(
                "vand.toml:4:18: connector.x.check_interval: {time:?} can't be used; accepted: a \
                 duration from 100ms to 1h, as \"2s\""
            ),
        );
    }
    one(
        "[[connector]]\nname = \"x\"\ntarget = \"a:1\"\ncheck_failures = 0\n",
        "vand.toml:4:18: connector.x.check_failures: 0 is out of range; accepted: 1 to 100",
    );
}

#[test]
fn services_that_appear_by_themselves() {
    one(
        "[services]\nimport = [\"db-*\", \"Db\"]\n",
        "vand.toml:2:19: services.import: \"Db\" fits no address; accepted: a-z, 0-9, '-', '.', \
         ':port', and '*' and '?' for any characters",
    );
    one(
        "[services]\nimport = []\ndomain = \"van internal\"\n",
        "vand.toml:3:10: services.domain: \"van internal\" is no domain; accepted: labels of a-z, \
         0-9 and '-' joined by dots, or \"\" for no names",
    );
    for (subnet, told) in [
        (
            "198.18.0.0/33",
            "\"198.18.0.0/33\" is no IPv4 network; accepted: an IPv4 network from /8 \
          to /30, as \"198.18.0.0/16\"",
        ),
        (
            "fd00::/16",
            "\"fd00::/16\" is no IPv4 network; accepted: an IPv4 network from /8 to /30, \
          as \"198.18.0.0/16\"",
        ),
        (
            "198.18.0.0/31",
            "198.18.0.0/31 can't hold services' addresses; accepted: an IPv4 network \
          from /8 to /30, as \"198.18.0.0/16\"",
        ),
        ("198.18.5.0/16", "198.18.5.0/16 has bits behind its prefix; write \"198.18.0.0/16\""),
    ] {
        one(
            &format!("[services]\nsubnet = \"{subnet}\"\n"),
            &format!("vand.toml:2:10: services.subnet: {told}"),
        );
    }
    one(
        "[console]\nlisten = \"127.0.0.1:8264\"\n",
        "vand.toml:2:10: console.listen: not in this version yet; take this key out",
    );
}

#[test]
fn places_to_listen_and_connect() {
    one(
        "[accept]\nlisten = [\"[::]:8263\", \"localhost:8263\"]\n",
        "vand.toml:2:24: accept.listen: \"localhost:8263\" is no IP address with a port; write for \
         instance \"[::]:8263\" (all addresses) or \"127.0.0.1:8263\"",
    );
    one(
        "[accept]\nlisten = []\n",
        "vand.toml:2:10: accept.listen: the list is empty; accepted: a list of IP addresses with \
         port, as [\"[::]:8263\"]",
    );
    one(
        "[accept]\nlisten = [\"[::]:1\", \"[::]:1\"]\n",
        "vand.toml:2:21: accept.listen: \"[::]:1\" stands in the list twice",
    );
    let many: Vec<String> = (1..=65).map(|port| format!("\"[::]:{port}\"")).collect();
    one(
        &format!("[accept]\nlisten = [{}]\n", many.join(", ")),
        "vand.toml:2:10: accept.listen: 65 are too many, the list may have 64; accepted: a list of \
         IP addresses with port, as [\"[::]:8263\"]",
    );
    one(
        "[accept]\nlisten = [\"[::]:1\"]\nadvertise = [\"van.example.com\"]\n",
        "vand.toml:3:14: accept.advertise: \"van.example.com\" has no port: write HOST:PORT, \
         [IPV6]:PORT or unix:/path",
    );
    one(
        "[[connector]]\nname = \"pg\"\ntarget = \"127.0.0.1:0\"\n",
        "vand.toml:3:10: connector.pg.target: \"127.0.0.1:0\": the port must be 1 to 65535",
    );
    one(
        "[[listener]]\nname = \"pg\"\nbind = \"unix:x\"\n",
        "vand.toml:3:8: listener.pg.bind: \"x\": a Unix socket needs an absolute path of at \
         most 107 bytes",
    );
}

#[test]
fn missing_keys_name_the_key_and_the_table() {
    told(
        &[("vand.toml", "[[connector]]\nname = \"a\"\n[[listener]]\nname = \"b\"\n[[link]]\n")],
        &[],
        &[
            "vand.toml:1:1: connector.a.target: missing key \"target\"; [[connector]] needs name, \
             and one of target, container, pod",
            "vand.toml:3:1: listener.b.bind: missing key \"bind\"; [[listener]] needs name, bind",
            "vand.toml:5:1: link.name: missing key \"name\"; [[link]] needs name, token",
            "vand.toml:5:1: link.token: missing key \"token\"; [[link]] needs name, token",
        ],
    );
    one(
        "[accept]\nadvertise = [\"a:1\"]\n",
        "vand.toml:1:1: accept.listen: missing key \"listen\"; [accept] needs listen",
    );
    told(
        &[("vand.toml", "[identity]\nca = \"/a\"\n")],
        &[],
        &[
            "vand.toml:1:1: identity.key: missing key \"key\"; [identity] needs ca, key, bundle",
            "vand.toml:1:1: identity.bundle: missing key \"bundle\"; [identity] needs ca, key, bundle",
        ],
    );
}

#[test]
fn names_used_twice() {
    let link = "[[link]]\nname = \"l\"\ntoken = \"t\"\n";
    let hint = "give each [[link]] a name of its own";
    told(
        &[("vand.toml", link), ("conf.d/a.toml", link)],
        &[],
        &[&format!(
            "conf.d/a.toml:2:8: link.l.name: the name \"l\" is used twice, first at vand.toml:2:8; \
             {hint}"
        )],
    );
    one(
        &link.repeat(2),
        &format!(
            "vand.toml:5:8: link.l.name: the name \"l\" is used twice, first at vand.toml:2:8; {hint}"
        ),
    );
}

#[test]
fn two_listeners_on_one_bind() {
    let listener = |name, bind| format!("[[listener]]\nname = \"{name}\"\nbind = \"{bind}\"\n");
    let hint = "give each listener a port or path of its own";
    told(
        &[
            ("vand.toml", &listener("a", "127.0.0.1:80")),
            ("conf.d/b.toml", &listener("b", "0.0.0.0:80")),
        ],
        &[],
        &[&format!(
            "conf.d/b.toml:3:8: listener.b.bind: 0.0.0.0:80 is taken already by listener.a.bind at \
             vand.toml:3:8; {hint}"
        )],
    );
    one(
        &format!("[accept]\nlisten = [\"[::]:8263\"]\n{}", listener("a", "[::1]:8263")),
        &format!(
            "vand.toml:5:8: listener.a.bind: [::1]:8263 is taken already by accept.listen at \
             vand.toml:2:10; {hint}"
        ),
    );
}

#[test]
fn edge_sites_accept_nothing() {
    told(
        &[("vand.toml", "[accept]\nlisten = [\"[::]:1\"]\n")],
        &[("VAND_SITE__MODE", "edge")],
        &[
            "vand.toml:1:1: accept: edge sites accept no links; take [accept] out, or set site.mode \
           = \"interior\"",
        ],
    );
}

#[test]
fn labels() {
    one(
        "[site]\nlabels = { a = 1 }\n",
        "vand.toml:2:16: site.labels: label \"a\": wrong type: a whole number where a string is \
         expected; write the value in quotes",
    );
    one(
        &format!("[site.labels]\n{} = \"x\"\n", "k".repeat(64)),
        "vand.toml:2:68: site.labels: a label's key is out of range; accepted: 1 to 63 printable \
         ASCII characters without a space",
    );
    one(
        &format!("[site.labels]\nk = \"{}\"\n", "v".repeat(254)),
        "vand.toml:2:5: site.labels: a label's value is out of range; accepted: at most 253 \
         printable ASCII characters",
    );
    let many: String = (0..65).map(|n| format!("l{n} = \"\"\n")).collect();
    one(
        &format!("[site.labels]\n{many}"),
        "vand.toml:1:1: site.labels: 65 labels are too many; accepted: at most 64",
    );
}

#[test]
fn proxies_and_tokens_are_never_repeated() {
    let link = "[[link]]\nname = \"l\"\n";
    one(
        &format!("{link}token = \"t\"\nproxy = \"https://u:secret@p:1\"\n"),
        "vand.toml:4:9: link.l.proxy: a proxy that is reached by https is not supported; accepted: \
         http://[user[:password]@]host:port",
    );
    one(
        &format!("{link}token = \"van1.secret\"\n"),
        "vand.toml:3:9: link.l.token: this is a token, not a path; put the token into a file of \
         its own (mode 0600) and write the file's path",
    );
    one(
        &format!("{link}token = \"credential:../public\"\n"),
        "vand.toml:3:9: link.l.token: \"../public\" is no credential's name; accepted: \
         credential:NAME, as in LoadCredential=NAME:/path of the unit",
    );
}

#[test]
fn tls_goes_with_streams_and_whole_pairs() {
    let listener = "[[listener]]\nname = \"x\"\nbind = \"a:1\"\n";
    one(
        &format!("{listener}tls = {{ certificate = \"c\" }}\n"),
        "vand.toml:4:7: listener.x.tls: key is missing; write key = …",
    );
    one(
        &format!("{listener}protocol = \"udp\"\ntls = {{ certificate = \"c\", key = \"k\" }}\n"),
        "vand.toml:5:7: listener.x.tls: tls goes with protocol tcp, http and http2, not with udp",
    );
    one(
        &format!("{listener}tls = {{ certificate = \"c\", kez = \"k\", key = \"k\" }}\n"),
        "vand.toml:4:28: listener.x.tls: unknown key \"kez\"; did you mean \"key\"? accepted: certificate, \
         key, client_ca",
    );
    let connector = |target: &str, tls: &str| {
        format!("[[connector]]\nname = \"x\"\ntarget = \"{target}\"\ntls = {tls}\n")
    };
    one(
        &connector("unix:/run/x", "{}"),
        "vand.toml:4:7: connector.x.tls: server_name is missing: the target has no host that a certificate \
         could be of",
    );
    one(
        &connector("a:1", "{ key = \"k\" }"),
        "vand.toml:4:7: connector.x.tls: tls.key needs tls.certificate, the file it is the key of",
    );
    one(
        &connector("a:1", "{ server_name = \"a b\" }"),
        "vand.toml:4:23: connector.x.tls: \"a b\" is no server name; accepted: a DNS name or an IP address, \
         as \"db.example.org\"",
    );
}

#[test]
fn syntax() {
    one("[site\nname = \"x\"\n", "vand.toml:1:6: unclosed table, expected `]`");
    one("[site]\nname = \"a\"\nname = \"b\"\n", "vand.toml:3:1: duplicate key \"name\"");
    told(
        &[("vand.toml", "[site]\nname = \n[log]\nlevle = \"info\"\n")],
        &[],
        &[
            "vand.toml:2:8: string values must be quoted, expected literal string",
            "vand.toml:4:1: log.levle: unknown key \"levle\"; did you mean \"level\"? accepted: level",
        ],
    );
}

#[test]
fn files_that_are_no_text() {
    let refused = |bytes: Vec<u8>| {
        let file = File { path: "vand.toml".into(), bytes };
        load(&Input { files: vec![file], ..Input::default() }).unwrap_err().to_string()
    };
    assert_eq!(
        refused(b"[site]\nname = \"\xff\"\n".to_vec()),
        "vand.toml:2:9: byte 0xff at offset 15 is not UTF-8; save the file as UTF-8"
    );
    assert_eq!(
        refused(vec![b'\n'; 10 << 20]),
        "vand.toml:1:1: configuration is larger than 1 MiB; split it into files in conf.d"
    );
    assert!(load(&input(&[("a", &" ".repeat(MAX_FILE_BYTES))], &[])).is_ok());
    assert!(refused(b"[site]\nname = \"a\0b\"\n".to_vec()).starts_with("vand.toml:2:"));
    assert!(refused(b"\0\0\0\0".to_vec()).starts_with("vand.toml:1:"));
    // Nesting without end is cut off by the parser, not by the stack.
    assert!(refused(b"x = [".iter().copied().chain([b'['; 9000]).collect()).contains(":1:"));
}

#[test]
fn environment() {
    let env = |name: &str, value: &str| {
        load(&input(&[], &[(name, value)])).unwrap_err().iter().next().unwrap().to_string()
    };
    assert!(env("VAND_LOG__LEVL", "x").starts_with(
        "environment VAND_LOG__LEVL: unknown variable \"VAND_LOG__LEVL\"; did you mean \
         \"VAND_LOG__LEVEL\"? accepted: VAND_SITE__NAME, "
    ));
    assert_eq!(
        env("VAND_LINK__TOKEN", "x"),
        "environment VAND_LINK__TOKEN: [[link]] can't be set by the environment; write it into \
         vand.toml or a file in conf.d"
    );
    assert_eq!(
        env("VAND_LIMITS__FLOWS", "many"),
        "environment VAND_LIMITS__FLOWS: \"many\" is no TOML value; accepted: 1 to 1000000"
    );
    assert_eq!(
        env("VAND_ACCEPT__LISTEN", "[\"localhost:1\"]"),
        "environment VAND_ACCEPT__LISTEN: \"localhost:1\" is no IP address with a port; write for \
         instance \"[::]:8263\" (all addresses) or \"127.0.0.1:8263\""
    );
    assert_eq!(
        env("VAND_ACCEPT__ADVERTISE", "[\"a:1\"]"),
        "environment VAND_ACCEPT__ADVERTISE: missing key \"listen\"; [accept] needs listen"
    );
    assert!(env("VAND_IDENTITY__CA", "ca.crt").contains("\"ca.crt\" is a relative path"));
}

#[test]
fn all_at_once_in_order() {
    told(
        &[
            ("vand.toml", "[[link]]\ntoken = \"t\"\ncost = 0\n[site]\nmode = 1\nnaem = \"x\"\n"),
            ("conf.d/a.toml", "[log]\r\nlevel = \"loud\"\r\nx = 1\r\n"),
        ],
        &[("VAND_SITE__NAME", "A")],
        &[
            "vand.toml:1:1: link.name: missing key \"name\"; [[link]] needs name, token",
            "vand.toml:3:8: link.cost: 0 is out of range; accepted: 1 to 65535",
            "vand.toml:5:8: site.mode: wrong type: a whole number where a string is expected; \
             accepted: interior, edge",
            "vand.toml:6:1: site.naem: unknown key \"naem\"; did you mean \"name\"? accepted: \
             name, mode, labels",
            "conf.d/a.toml:2:9: log.level: \"loud\" is no log level; accepted: error, warn, info, \
             debug, trace, or a filter as in RUST_LOG",
            "conf.d/a.toml:3:1: log.x: unknown key \"x\"; accepted: level",
            "environment VAND_SITE__NAME: \"A\": use a-z, 0-9 and '-', with a letter or digit at \
             both ends",
        ],
    );
}

#[test]
fn a_flood_of_mistakes_is_cut() {
    let text = format!("[site]\n{}", (0..5000).map(|n| format!("k{n} = 1\n")).collect::<String>());
    let mistakes = load(&input(&[("vand.toml", &text)], &[])).unwrap_err();
    assert_eq!(mistakes.count(), 5000);
    assert_eq!(mistakes.iter().count(), 1000);
    assert!(mistakes.to_string().ends_with("\n4000 more mistakes are not shown"));
}
