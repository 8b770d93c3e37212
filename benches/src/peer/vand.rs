//! vand: site `a` beside the clients accepts the link, site `b` beside the back-end dials it; or
//! site `t` between them dials `a` and accepts the link of `b`.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::layout::{Carried, Layout, Setup};
use crate::process::Launch;

/// Writes the sites' configuration; each token is made between two starts.
pub(super) fn prepare(layout: &Layout<'_>, transit: bool) -> Result<Setup> {
    let (vand, vanctl) = layout.programs.own().context("vand is not built")?;
    let token = |site: &str| layout.dir.join(format!("{site}.token")).display().to_string();
    let accept =
        |address| format!("[accept]\nlisten = [\"{address}\"]\nadvertise = [\"{address}\"]\n");
    let dial =
        |site: &str| format!("[[link]]\nname = \"to-{site}\"\ntoken = \"{}\"\n", token(site));
    let site = |name: &str| format!("[site]\nname = \"{name}\"\n[services]\nimport = []\n");
    let mut a = site("a") + &accept(layout.uplink);
    let mut b = site("b") + &dial(if transit { "t" } else { "a" });
    for route in &layout.routes {
        let (name, entry, target) = (route.name, route.entry, route.target);
        let protocol = match route.carried {
            Carried::Stream => "tcp",
            Carried::Requests => "http",
            Carried::Multiplexed => "http2",
            Carried::Datagrams => "udp",
        };
        let both = format!("name = \"{name}\"\naddress = \"{name}\"\nprotocol = \"{protocol}\"");
        writeln!(a, "[[listener]]\n{both}\nbind = \"{entry}\"")?;
        writeln!(b, "[[connector]]\n{both}\ntarget = \"{target}\"")?;
        // A probe would end iperf3's single test at a time.
        writeln!(b, "check = \"none\"")?;
    }
    let launch = |name: &str, site: &str, text: &str| -> Result<Launch> {
        let dir = layout.dir.join(site);
        for folder in ["state", "run"] {
            std::fs::create_dir_all(dir.join(folder))?;
        }
        let file = layout.write(&format!("{site}/vand.toml"), text)?;
        let state = dir.join("state").display().to_string();
        let runtime = dir.join("run").display().to_string();
        let args = ["run", "--config", &file, "--state-dir", &state, "--runtime-dir", &runtime];
        Ok(Launch::new(name, std::path::absolute(vand)?, args))
    };
    let invite = |site: &str| -> Result<Launch> {
        let url = format!("unix://{}/{site}/run/vand.sock", layout.dir.display());
        let create = ["--url", &url, "token", "create", &token(site)];
        Ok(Launch::new(format!("token-{site}"), std::path::absolute(vanctl)?, create))
    };
    let between = if transit {
        let t = site("t") + &accept(layout.place.ingress.free_port()?) + &dial("a");
        Some((launch("transit", "t", &t)?, invite("t")?))
    } else {
        None
    };
    Ok(Setup {
        ingress: vec![launch("ingress", "a", &a)?],
        between: Some(invite("a")?),
        transit: between,
        egress: vec![launch("egress", "b", &b)?],
    })
}
