//! vand: site `a` beside the clients accepts the link, site `b` beside the back-end dials it.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use crate::layout::{Layout, Setup};
use crate::process::Launch;

/// Writes both sites' configuration; the token is made between their starts.
pub(super) fn prepare(layout: &Layout<'_>) -> Result<Setup> {
    let (vand, vanctl) = layout.programs.own().context("vand is not built")?;
    let token = layout.dir.join("b.token").display().to_string();
    let uplink = layout.uplink;
    let mut a = format!(
        "[site]\nname = \"a\"\n[accept]\nlisten = [\"{uplink}\"]\nadvertise = [\"{uplink}\"]\n\
         [services]\nimport = []\n"
    );
    let mut b = format!(
        "[site]\nname = \"b\"\n[[link]]\nname = \"to-a\"\ntoken = \"{token}\"\n\
         [services]\nimport = []\n"
    );
    for route in &layout.routes {
        let (name, entry, target) = (route.name, route.entry, route.target);
        writeln!(a, "[[listener]]\nname = \"{name}\"\naddress = \"{name}\"\nbind = \"{entry}\"")?;
        writeln!(
            b,
            "[[connector]]\nname = \"{name}\"\naddress = \"{name}\"\ntarget = \"{target}\""
        )?;
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
    let ingress = launch("ingress", "a", &a)?;
    let egress = launch("egress", "b", &b)?;
    let url = format!("unix://{}/a/run/vand.sock", layout.dir.display());
    let create = ["--url", &url, "token", "create", &token];
    Ok(Setup {
        ingress: vec![ingress],
        between: Some(Launch::new("token", std::path::absolute(vanctl)?, create)),
        egress: vec![egress],
    })
}
