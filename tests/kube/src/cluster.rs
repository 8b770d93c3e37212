//! A test's namespace in a cluster.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use van_testkit::{Ran, program, run, wait_until};

/// Where clusters have their files: in memory, and away with the capsule.
const PLACE: &str = "/run/van-kube";

/// The longest that one command may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long [`Cluster::wait`] waits, in the form that kubectl takes; less than [`PATIENCE`].
const TIMEOUT: &str = "--timeout=60s";

/// A namespace of its own in one of the two clusters; it goes when the value does.
#[derive(Debug)]
pub struct Cluster {
    number: u8,
    namespace: String,
}

impl Cluster {
    /// Opens a namespace in the first cluster.
    ///
    /// # Panics
    /// Outside the capsule; the message says how to get there.
    #[track_caller]
    pub fn first(namespace: &str) -> Self {
        Self::open(1, namespace)
    }

    /// Opens a namespace in the second cluster.
    ///
    /// # Panics
    /// As [`Cluster::first`] does.
    #[track_caller]
    pub fn second(namespace: &str) -> Self {
        Self::open(2, namespace)
    }

    #[track_caller]
    fn open(number: u8, namespace: &str) -> Self {
        assert!(
            Path::new(PLACE).join(number.to_string()).is_dir(),
            "cluster {number} does not run: run `make test-kube`"
        );
        let cluster = Self { number, namespace: namespace.into() };
        let _made = cluster.kubectl(&format!("create namespace {namespace}")).ok();
        // Pods are refused until the controllers have made the account that they run as.
        cluster.wait_for("the default service account", "get serviceaccount default");
        cluster
    }

    /// Its number, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The address of its node, which the other cluster and the tests reach.
    pub fn node_address(&self) -> String {
        format!("10.250.0.1{}", self.number)
    }

    /// The configuration with which a client has every right in it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.place().join("admin.kubeconfig")
    }

    fn place(&self) -> PathBuf {
        Path::new(PLACE).join(self.number.to_string())
    }

    /// Runs kubectl in the namespace; `line` is split at white space.
    ///
    /// # Panics
    /// When it can't be started or doesn't end.
    #[track_caller]
    pub fn kubectl(&self, line: &str) -> Ran {
        self.kubectl_with(line.split_whitespace(), "")
    }

    #[track_caller]
    fn kubectl_with<T: AsRef<OsStr>>(
        &self,
        arguments: impl Iterator<Item = T>,
        input: &str,
    ) -> Ran {
        let mut kubectl = Command::new(lab().join("bin/kubebox"));
        kubectl.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig());
        kubectl.args(["--namespace", &self.namespace]).args(arguments);
        ended(kubectl, input)
    }

    /// Makes or changes objects.
    ///
    /// # Panics
    /// When the API server refuses one.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        let _applied = self.kubectl_with(["apply", "--filename", "-"].iter(), yaml).ok();
    }

    /// Waits for a condition of an object: `wait("deployment/web", "condition=Available")`.
    ///
    /// # Panics
    /// When it doesn't come; the message has the object and the namespace's events.
    #[track_caller]
    pub fn wait(&self, resource: &str, condition: &str) {
        let waited = self.kubectl(&format!("wait {resource} --for={condition} {TIMEOUT}"));
        if waited.status != 0 {
            let found = self.kubectl(&format!("describe {resource}")).stdout;
            panic!("{resource} has no {condition}: {}\n{found}", waited.stderr);
        }
    }

    /// Waits until a line of kubectl succeeds, and gives what it printed.
    ///
    /// # Panics
    /// When it doesn't in time.
    #[track_caller]
    pub fn wait_for(&self, what: &str, line: &str) -> String {
        let mut said = String::new();
        wait_until(PATIENCE, &format!("{self} had {what}"), || {
            let ran = self.kubectl(line);
            said = ran.stdout;
            ran.status == 0
        });
        said
    }

    /// Runs a line of shell in a pod.
    ///
    /// # Panics
    /// When it can't be started or doesn't end.
    #[track_caller]
    pub fn exec(&self, pod: &str, line: &str) -> Ran {
        self.kubectl_with(["exec", pod, "--", "sh", "-c", line].iter(), "")
    }

    /// Ends the API server, as an outage does; pods go on.
    ///
    /// # Panics
    /// When it doesn't end.
    #[track_caller]
    pub fn stop_api(&self) {
        self.script("stop-api");
    }

    /// Starts the API server again and waits until it is ready.
    ///
    /// # Panics
    /// When it doesn't become so.
    #[track_caller]
    pub fn start_api(&self) {
        self.script("start-api");
    }

    #[track_caller]
    fn script(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.sh");
        let mut command = Command::new(script);
        command.arg(verb).arg(self.number.to_string());
        let _done = ended(command, "").ok();
    }

    /// Brings an image to its node: an archive of the form that docker saves.
    ///
    /// # Panics
    /// When the node's container runtime refuses it.
    #[track_caller]
    pub fn load_image(&self, archive: &Path) {
        let mut ctr = Command::new(lab().join("root/usr/bin/ctr"));
        ctr.arg("--address").arg(self.place().join("containerd.sock"));
        ctr.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
        let _loaded = ended(ctr, "").ok();
    }

    /// Asks by HTTP from the node's side, and gives the answer's body, or nothing.
    ///
    /// # Panics
    /// When curl is not installed.
    #[track_caller]
    pub fn ask(&self, url: &str) -> Option<String> {
        let mut curl = program("curl", "curl");
        curl.args(["--silent", "--fail", "--max-time", "3", url]);
        let ran = ended(curl, "");
        (ran.status == 0).then_some(ran.stdout)
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "namespace {} of cluster {}", self.namespace, self.number)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What there was at last, for whoever reads of the failure.
            let objects = self.kubectl("get all,events --output=wide").stdout;
            let _unheard = write!(std::io::stderr(), "--- {self}\n{objects}---\n");
        }
        let gone = self.kubectl(&format!("delete namespace {} --wait=false", self.namespace));
        // The capsule takes it away in any case.
        let _left = gone.status;
    }
}

/// Where the built box lies.
#[track_caller]
fn lab() -> PathBuf {
    let lab = std::env::var_os("KUBE_LAB");
    lab.expect("clusters need the built box: run `make test-kube`").into()
}

#[track_caller]
fn ended(command: Command, input: &str) -> Ran {
    let output = run(command, input.as_bytes(), PATIENCE);
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
