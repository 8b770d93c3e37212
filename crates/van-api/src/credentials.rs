//! Who is at the other end of a connection, and what they may do.

use nix::unistd::{Gid, Uid, User, getgrouplist};

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read what holds no configuration and no rights.
    Read,
    /// Everything.
    Write,
}

/// Who may write, beside root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The daemon's own user.
    pub own_uid: u32,
    /// The group whose members may write, where it exists.
    pub group: Option<u32>,
    /// That group's name, for hints.
    pub group_name: String,
}

/// A peer's user and groups, as the kernel and the group database tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub uid: u32,
    /// The process' own group.
    pub gid: u32,
    /// The user's supplementary groups.
    pub groups: Vec<u32>,
    /// The user's name, where the user database knows it.
    pub user: Option<String>,
}

impl Credentials {
    /// Completes what the kernel tells with the user's name and groups; may block on the database.
    pub fn look_up(uid: u32, gid: u32) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        let groups = user
            .as_deref()
            .and_then(|name| std::ffi::CString::new(name).ok())
            .and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok())
            .unwrap_or_default();
        Self { uid, gid, groups: groups.into_iter().map(Gid::as_raw).collect(), user }
    }

    /// What this peer may do: root, the daemon's own user and the group's members may write.
    pub fn access(&self, policy: &Policy) -> Access {
        let member = |group| self.gid == group || self.groups.contains(&group);
        if self.is_operator(policy) || policy.group.is_some_and(member) {
            Access::Write
        } else {
            Access::Read
        }
    }

    /// Whether the peer is root or the daemon's own user, for whom connections are kept free.
    pub fn is_operator(&self, policy: &Policy) -> bool {
        self.uid == 0 || self.uid == policy.own_uid
    }

    /// What a refused peer can do about it.
    pub(crate) fn hint(&self, policy: &Policy) -> String {
        let user = self.user.as_deref().unwrap_or("USER");
        format!("add the user to the group: sudo usermod -aG {} {user}", policy.group_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
        Credentials { uid, gid, groups: groups.into(), user: Some("anna".into()) }
    }

    #[test]
    fn who_may_write() {
        let policy = Policy { own_uid: 900, group: Some(77), group_name: "vand".into() };
        for (who, access) in [
            (peer(0, 0, &[]), Access::Write),
            (peer(900, 900, &[]), Access::Write),
            (peer(1000, 77, &[]), Access::Write),
            (peer(1000, 1000, &[4, 77]), Access::Write),
            (peer(1000, 1000, &[4, 24]), Access::Read),
            (peer(77, 900, &[0]), Access::Read),
        ] {
            assert_eq!(who.access(&policy), access, "{who:?}");
        }
    }

    #[test]
    fn without_the_group_only_root_and_the_daemon_write() {
        let policy = Policy { own_uid: 900, group: None, group_name: "vand".into() };
        assert_eq!(peer(1000, 0, &[0, 77]).access(&policy), Access::Read);
        assert_eq!(peer(900, 1, &[]).access(&policy), Access::Write);
        assert_eq!(
            peer(1000, 1, &[]).hint(&policy),
            "add the user to the group: sudo usermod -aG vand anna"
        );
    }

    #[test]
    fn root_is_known_to_the_database() {
        assert_eq!(Credentials::look_up(0, 0).user.as_deref(), Some("root"));
        assert_eq!(Credentials::look_up(u32::MAX - 7, 1).user, None);
    }
}
