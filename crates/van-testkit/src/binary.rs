//! Where the binaries under test are.

use std::env;
use std::path::PathBuf;

/// Finds the daemon: `VAND_BIN`, else beside the test's own binary.
///
/// # Panics
/// When it was not built.
pub fn vand_binary() -> PathBuf {
    find("vand", "VAND_BIN")
}

/// Finds the client: `VANCTL_BIN`, else beside the test's own binary.
///
/// # Panics
/// When it was not built.
pub fn vanctl_binary() -> PathBuf {
    find("vanctl", "VANCTL_BIN")
}

fn find(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let test = env::current_exe().expect("a running program has a path");
    // Tests lie in `deps/` or `examples/` of the folder that holds the binaries.
    let built = test.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|p| p.is_file());
    built.unwrap_or_else(|| {
        panic!(
            "{name} is not built beside {}: run `cargo build -p {name}` (`make test` does), or \
             name it in {variable}",
            test.display()
        )
    })
}
