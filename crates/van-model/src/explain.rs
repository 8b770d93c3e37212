//! What each stable code means and what to do about it.
//!
//! The one source of `vanctl explain` and of the journal's message catalogue. A code is the reason of
//! an event or a condition, or the kind of an API error; it never changes its meaning.

/// A code, explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// The code, as events, conditions, errors and the journal have it.
    pub code: &'static str,
    /// What it says, one sentence.
    pub meaning: &'static str,
    /// What to do; empty where nothing has to be done.
    pub remedy: &'static str,
}

const fn code(code: &'static str, meaning: &'static str, remedy: &'static str) -> Explanation {
    Explanation { code, meaning, remedy }
}

/// Every code, in alphabetical order.
pub const EXPLANATIONS: &[Explanation] = &[
    code("Accepting", "The listener accepts clients.", ""),
    code(
        "AddressInUse",
        "Another program, or another listener, holds the place at which a listener is to be.",
        "Find who holds it with 'ss -tlnp' and free it, or give the listener another bind. It is tried \
         again every second.",
    ),
    code(
        "AddressNotLocal",
        "No interface of this host has the address of a listener's bind.",
        "See 'ip address'; choose one of this host's addresses, or 0.0.0.0 for all.",
    ),
    code(
        "BadRecord",
        "A neighbour passed on a routing record that is damaged, wrongly signed or out of bounds. It \
         was refused and changes nothing.",
        "If it goes on, update the site that the event names; if that does not help, revoke it: \
         'vanctl peer revoke SITE'.",
    ),
    code(
        "BadToken",
        "A link's token can't be read, is damaged, or is none.",
        "Have a new one made at the other site ('vanctl token create FILE'), and bring it here \
         unchanged.",
    ),
    code(
        "BindFailed",
        "A listener or the link port can't have its place.",
        "The message says why. Free the place or change the bind; it is tried again every second.",
    ),
    code("Checking", "The connector's target is being checked for the first time.", ""),
    code(
        "Conflict",
        "Sites offer one address in ways that don't go together (protocol or service port), or a \
         resource of that name exists already.",
        "Make the connectors of all sites agree, or choose another name.",
    ),
    code("Connected", "The link or peer is connected.", ""),
    code("Connecting", "The link is being dialled.", ""),
    code(
        "ConnectionLost",
        "The connection of a link ended without a word. It is dialled again.",
        "If it repeats, look at the network between the two sites, and at the other site's log.",
    ),
    code(
        "DatabaseFull",
        "The network has more routers than a site keeps.",
        "Split the network, or take sites that are no longer used out of it.",
    ),
    code(
        "Degraded",
        "The site runs with warnings.",
        "'vanctl status' shows them, each with what to do.",
    ),
    code("Expired", "The token's time is over.", "Make a new one: 'vanctl token create'."),
    code(
        "Flood",
        "A site changes its routing record faster than others accept. The newest counts, the rest is \
         dropped.",
        "Look what flaps there: 'vanctl events' at that site.",
    ),
    code(
        "ForeignSite",
        "A record of a site came to which no chain of vouchers leads from here. It is no member.",
        "If it should be one, link it with a token of a site that this network trusts.",
    ),
    code(
        "HandshakeFailed",
        "The TLS handshake of a link failed.",
        "See whether something between the sites ends TLS, whether both clocks agree, and whether the \
         port is really a vand.",
    ),
    code("Healthy", "The connector's target answers.", ""),
    code(
        "ImportFailed",
        "A service of the network can't appear at its address on this host.",
        "Free the port, or leave the service out of services.import. It is tried again.",
    ),
    code(
        "JoinFailed",
        "A token could not be redeemed.",
        "The message says why; 'vanctl link status' shows what is tried.",
    ),
    code(
        "LabelsRefused",
        "A container's labels want to offer a service, and can't: one is missing, unknown or unfit, or \
         another connector offers the address in another way.",
        "Make the container anew with the labels that the message accepts.",
    ),
    code(
        "LinkDown",
        "A link ended. Flows take other paths where there are some, and it is dialled again.",
        "If it stays down: 'vanctl link status NAME' and 'vanctl check' at both ends.",
    ),
    code("LinkUp", "A link is connected.", ""),
    code(
        "LinksAccepted",
        "The link port was opened by 'vanctl token create --accept'.",
        "To close it: 'vanctl site set accept=false'.",
    ),
    code("LinksNotAccepted", "The link port was closed by 'vanctl site set accept=false'.", ""),
    code(
        "NameUnknown",
        "The host name in a listener's bind can't be resolved.",
        "Write an IP address, or make the name resolvable: 'getent hosts NAME'.",
    ),
    code(
        "NetworksMerged",
        "A link joined two networks that did not know each other.",
        "If that is not meant, delete the link: 'vanctl link delete'.",
    ),
    code(
        "NoFolder",
        "The folder of a Unix socket that a listener binds is missing.",
        "Create it, writable for the daemon's user.",
    ),
    code(
        "NoNames",
        "Services that appear here have addresses but no names: the name server can't listen.",
        "Free its port, or set services.subnet or services.domain; then 'vanctl reload'.",
    ),
    code(
        "NoTarget",
        "No site offers a healthy target for the address; clients are refused meanwhile.",
        "'vanctl service status' shows who offers it, 'vanctl connector status' at that site why it is \
         not healthy.",
    ),
    code(
        "NotASocket",
        "Something that is no socket stands at the path of a listener. It is left alone.",
        "Move it away, or choose another path.",
    ),
    code(
        "NotAccepting",
        "The listener pauses: a limit is reached or the system refuses.",
        "The message names the limit: limits.flows, or LimitNOFILE= of the unit.",
    ),
    code(
        "NotAllowed",
        "The system does not let the daemon have the place.",
        "Ports below 1024 need CAP_NET_BIND_SERVICE, Unix sockets a folder that the daemon's user may \
         write.",
    ),
    code("NotConnected", "No link to the peer is up.", "See 'vanctl link status'."),
    code("PeerForgotten", "An ephemeral peer was forgotten a day after its last link.", ""),
    code(
        "PeerRevoked",
        "This site ended its trust in a peer; its links are closed and refused everywhere.",
        "To end that: 'vanctl peer trust SITE', or a token of this site that it redeems.",
    ),
    code("PeerTrustedAgain", "A revoked peer is trusted again.", ""),
    code(
        "PodmanAway",
        "A podman that connectors or labels need can't be asked. Containers that are known stay where \
         they are known to be; what happens to them meanwhile is not seen.",
        "The message says why. Start it ('systemctl start podman.socket'), or give the daemon the right \
         to its socket: [podman] in 'man vand.toml' says how. It is tried again by itself.",
    ),
    code("PodmanBack", "A podman answers again.", ""),
    code(
        "ProtocolMismatch",
        "The listener speaks another protocol than the service that it is for: streams and datagrams \
         can't be turned into one another, so that clients find no target.",
        "Give the listener the protocol that 'vanctl service status' shows.",
    ),
    code("Reachable", "A site offers a healthy target.", ""),
    code(
        "Refused",
        "A link or a token was refused.",
        "At the other end the log says why: a token that is unknown, used up, expired or revoked, or a \
         site that is not trusted. A new token mends most of it.",
    ),
    code(
        "ReloadRefused",
        "The new configuration has mistakes; the old one goes on.",
        "'vand check' lists them with file and line.",
    ),
    code("Reloaded", "The configuration was read anew.", ""),
    code(
        "RevocationIgnored",
        "A site revokes another which it did not admit. That counts for nothing.",
        "If the other should go, revoke it at the site that admitted it.",
    ),
    code(
        "Revoked",
        "One of the two sites ended its trust in the other.",
        "To end that, 'vanctl peer trust SITE' where it was revoked; else delete the link.",
    ),
    code("Running", "The site runs without warnings.", ""),
    code(
        "SameName",
        "Two sites of the network have one name, so that names are ambiguous.",
        "Rename one: site.name, then restart it.",
    ),
    code(
        "SelfLink",
        "A link leads back to this very site.",
        "Delete it; make the token at the other site.",
    ),
    code(
        "ServiceConflict",
        "Sites offer one address with different protocols or service ports; it is not imported.",
        "Make the connectors of all sites agree.",
    ),
    code("SiteAppeared", "A site of the network can be reached.", ""),
    code(
        "SiteLeft",
        "A site can no longer be reached.",
        "'vanctl network status' shows who still is; look at that site and its links.",
    ),
    code(
        "SiteRevoked",
        "A site was revoked by one that admitted it; nobody trusts it any more.",
        "",
    ),
    code("SiteTrustedAgain", "The revocation of a site was taken back.", ""),
    code(
        "SocketUnused",
        "systemd opened a socket for the daemon that no listener and no accept.listen wants.",
        "Name it after a listener (FileDescriptorName=), give it the place of one, or take it out of \
         the socket unit.",
    ),
    code(
        "StateIsOlder",
        "The network knows newer records of this site than its state directory: it was restored from \
         a copy, or the site runs twice.",
        "See that only one host runs this identity. The site goes on with a newer epoch by itself.",
    ),
    code(
        "StateNotWritten",
        "The state directory can't be written. What runs goes on; changes would be lost at a restart.",
        "Free space or make it writable: 'df -h' and 'ls -ld' of the state directory.",
    ),
    code(
        "StateSetAside",
        "A file of the state directory was damaged; it was set aside and the last good copy, or \
         nothing, is used.",
        "Look at the file that the event names; restore it from a backup or make anew what it held.",
    ),
    code(
        "SubnetNotUsed",
        "Services appear at addresses of 127.0.0.0/8 instead of services.subnet, which containers \
         can't reach.",
        "Give the daemon CAP_NET_ADMIN by the drop-in subnet.conf, or choose a free services.subnet.",
    ),
    code(
        "TlsFiles",
        "The certificate, key or authorities of a listener's tls can't be used: the message says which and \
         why. What was read before is used on; clients are refused where there is none.",
        "Mend or replace the file; it is read again within 5 s. 'openssl x509 -in FILE -noout -text' shows \
         what it holds.",
    ),
    code("TokenAccepted", "A token of another site was redeemed; the two trust each other.", ""),
    code("TokenCreated", "A token was made here.", ""),
    code("TokenRedeemed", "A site redeemed a token of this one.", ""),
    code("TokenRevoked", "A token was revoked; it admits nobody any more.", ""),
    code(
        "TooManyAttempts",
        "Tokens were tried too often from this address; it has to wait a minute.",
        "Wait, and use the right token.",
    ),
    code(
        "TooManyOffers",
        "This site offers more addresses than a site may; the rest is left out.",
        "Offer fewer, or spread them over several sites.",
    ),
    code(
        "Unhealthy",
        "The connector's target does not answer; no flow is sent to it.",
        "Start the workload, or mend the target; 'vanctl connector status NAME' says what failed.",
    ),
    code(
        "Unreachable",
        "None of the link's places answers.",
        "See whether the other site runs and accepts links, whether its name resolves, and whether a \
         firewall stands between.",
    ),
    code("Usable", "The token can be redeemed.", ""),
    code("Used", "All uses of the token are used.", "Make a new one: 'vanctl token create'."),
    code(
        "conflict",
        "The API refused a change: it exists already, or a file owns it.",
        "Change the file that the message names and reload, or choose another name.",
    ),
    code(
        "internal",
        "The daemon failed at a request.",
        "Its log says more; a dump for a report: 'vanctl debug dump FILE.tar.gz'.",
    ),
    code(
        "invalid",
        "A request is malformed, or a value is out of range.",
        "The hint says what fits.",
    ),
    code(
        "not_allowed",
        "The caller may not do this.",
        "Be root, the daemon's user, or a member of its group: 'sudo usermod -aG vand USER', then log \
         in anew.",
    ),
    code("not_found", "There is no such resource, site or path.", "The hint names a list."),
    code("timeout", "It took too long.", "Try again with a longer --timeout or --wait."),
    code(
        "unavailable",
        "Something that is needed is not there now.",
        "The hint says what; 'vanctl check' looks further.",
    ),
];

/// The explanation of a code; upper and lower case count, as `Conflict` and `conflict` differ.
pub fn explain(code: &str) -> Option<&'static Explanation> {
    EXPLANATIONS.iter().find(|found| found.code == code)
}

/// The identity of a code's messages in the journal (`MESSAGE_ID`): 32 hexadecimal digits, made of
/// the code alone (FNV-1a of 128 bits), and so the same in every version.
pub fn message_id(code: &str) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = "vand/"
        .bytes()
        .chain(code.bytes())
        .fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

/// The message catalogue that `journalctl -x` reads (systemd's catalog format).
pub fn catalogue() -> String {
    let mut text = String::from("# The messages of vand. Made from its source: make man\n");
    for Explanation { code, meaning, remedy } in EXPLANATIONS {
        text.push_str(&format!("\n-- {}\nSubject: vand: {code}\n", message_id(code)));
        text.push_str("Defined-By: vand\nDocumentation: man:vanctl-explain(1)\n\n");
        text.push_str(&format!("{meaning}\n"));
        if !remedy.is_empty() {
            text.push_str(&format!("\n{remedy}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_single_and_explained_in_sentences() {
        for pair in EXPLANATIONS.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        for Explanation { code, meaning, remedy } in EXPLANATIONS {
            assert!(meaning.ends_with('.') && !meaning.contains("  "), "{code}: {meaning}");
            assert!(remedy.is_empty() || remedy.ends_with('.'), "{code}: {remedy}");
        }
        assert_eq!(explain("LinkDown").map(|e| e.code), Some("LinkDown"));
        assert_eq!(explain("linkdown"), None);
    }

    #[test]
    fn message_ids_never_change() {
        assert_eq!(message_id("LinkDown").len(), 32);
        let mut ids: Vec<String> = EXPLANATIONS.iter().map(|e| message_id(e.code)).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), EXPLANATIONS.len());
    }

    #[test]
    fn the_catalogue_has_an_entry_for_each() {
        let text = catalogue();
        assert_eq!(text.matches("\n-- ").count(), EXPLANATIONS.len());
        assert!(
            text.contains(&format!("-- {}\nSubject: vand: LinkDown\n", message_id("LinkDown")))
        );
    }
}
