use std::{fmt, net::IpAddr};

use ipnet::IpNet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedAllowList {
    #[error("an allow list has at most {max} networks", max = AllowList::MAX_NETWORKS)]
    TooManyNetworks,
    #[error("entry {0} of the allow list is not a network in canonical form (such as 192.0.2.0/24 or 2001:db8::/32)")]
    NotCanonical(usize),
    #[error("entry {0} of the allow list is an IPv4-mapped network: write it as an IPv4 network")]
    Ipv4Mapped(usize),
    #[error("entry {0} of the allow list repeats an earlier one")]
    Repeated(usize),
}

/// The networks from which an API key is accepted. An empty list allows all networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<IpNet>);

impl AllowList {
    pub const MAX_NETWORKS: usize = 20;

    /// Parses networks, each with its prefix length in canonical form. Errors count entries from 1.
    pub fn parse(networks: &[impl AsRef<str>]) -> Result<Self, MalformedAllowList> {
        if networks.len() > Self::MAX_NETWORKS {
            return Err(MalformedAllowList::TooManyNetworks);
        }
        let mut parsed = Vec::with_capacity(networks.len());
        for (text, entry) in networks.iter().map(AsRef::as_ref).zip(1..) {
            let network: IpNet = text.parse().map_err(|_| MalformedAllowList::NotCanonical(entry))?;
            if is_ipv4_mapped(&network) {
                return Err(MalformedAllowList::Ipv4Mapped(entry));
            }
            if network != network.trunc() || network.to_string() != text {
                return Err(MalformedAllowList::NotCanonical(entry));
            }
            if parsed.contains(&network) {
                return Err(MalformedAllowList::Repeated(entry));
            }
            parsed.push(network);
        }
        Ok(Self(parsed))
    }

    /// Returns the networks in the form that [`AllowList::parse`] reads.
    pub fn networks(&self) -> impl ExactSizeIterator<Item = impl fmt::Display> {
        self.0.iter()
    }

    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a caller at this address is accepted. An IPv4-mapped IPv6 address counts as the IPv4 address. An
    /// unknown address (`None`) is on no list.
    #[must_use]
    pub fn allows(&self, address: Option<IpAddr>) -> bool {
        let is_listed = |address: IpAddr| self.0.iter().any(|network| network.contains(&address.to_canonical()));
        self.is_unrestricted() || address.is_some_and(is_listed)
    }

    /// Returns whether `outer` accepts every caller that this list accepts.
    #[must_use]
    pub fn is_within(&self, outer: &Self) -> bool {
        // Neighbouring networks of `outer` may together cover a larger network.
        let merged = IpNet::aggregate(&outer.0);
        let is_covered = |network: &IpNet| merged.iter().any(|outer| outer.contains(network));
        outer.is_unrestricted() || !self.is_unrestricted() && self.0.iter().all(is_covered)
    }
}

fn is_ipv4_mapped(network: &IpNet) -> bool {
    matches!(network, IpNet::V6(network) if network.prefix_len() >= 96 && network.addr().to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn list(networks: &[&str]) -> AllowList {
        AllowList::parse(networks).unwrap()
    }

    #[test]
    fn canonical_networks_round_trip() {
        let networks = ["0.0.0.0/0", "192.0.2.0/24", "198.51.100.7/32", "::/0", "2001:db8::/32", "2001:db8::1/128"];
        let shown: Vec<_> = list(&networks).networks().map(|network| network.to_string()).collect();
        assert_eq!(shown, networks);
        assert!(AllowList::parse(&[""; 0]).unwrap().is_unrestricted());
    }

    #[test]
    fn malformed_list_is_rejected_with_entry() {
        use MalformedAllowList::{Ipv4Mapped, NotCanonical, Repeated, TooManyNetworks};
        for text in [
            "",
            "192.0.2.1",
            "2001:db8::1",
            "192.0.2.1/24",
            "2001:db8::1/64",
            "192.0.2.0/33",
            "192.0.2.0/024",
            "192.0.2/24",
            " 192.0.2.0/24",
            "192.0.2.0/24 ",
            "2001:DB8::/32",
            "2001:db8:0::/32",
            "192.0.2.0/255.255.255.0",
        ] {
            assert_eq!(AllowList::parse(&["10.0.0.0/8", text]), Err(NotCanonical(2)), "{text:?}");
        }
        for mapped in ["::ffff:192.0.2.0/120", "::ffff:c000:200/120", "::ffff:0.0.0.0/96"] {
            assert_eq!(AllowList::parse(&[mapped]), Err(Ipv4Mapped(1)), "{mapped}");
        }
        assert_eq!(AllowList::parse(&["10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/8"]), Err(Repeated(3)));
        let networks: Vec<_> = (0..=20).map(|number| format!("10.{number}.0.0/16")).collect();
        assert_eq!(AllowList::parse(&networks), Err(TooManyNetworks));
        assert!(AllowList::parse(&networks[..20]).is_ok());
    }

    #[test]
    fn list_allows_addresses_of_its_networks() {
        let list = list(&["192.0.2.0/24", "2001:db8::/32"]);
        for (address, is_allowed) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("::ffff:192.0.2.7", true),
            ("::192.0.2.7", false),
            ("2001:db8:ffff::", true),
            ("2001:db9::", false),
        ] {
            assert_eq!(list.allows(Some(address.parse().unwrap())), is_allowed, "{address}");
        }
        assert!(!list.allows(None));
        assert!(AllowList::default().allows(None));
    }

    #[test]
    fn mapped_address_is_not_in_ipv6_network() {
        assert!(!list(&["::/0"]).allows(Some("::ffff:192.0.2.7".parse().unwrap())));
    }

    #[test]
    fn list_is_within_wider_list() {
        let outer = list(&["10.0.0.0/25", "10.0.0.128/25", "2001:db8::/32"]);
        for (inner, is_within) in [
            (&["10.0.0.0/25"][..], true),
            (&["10.0.0.0/24"], true),
            (&["10.0.0.64/26", "2001:db8:1::/48"], true),
            (&["10.0.0.0/23"], false),
            (&["10.0.0.0/25", "10.0.1.0/25"], false),
            (&[], false),
        ] {
            assert_eq!(list(inner).is_within(&outer), is_within, "{inner:?}");
            assert!(list(inner).is_within(&AllowList::default()), "{inner:?}");
        }
        assert!(AllowList::default().is_within(&AllowList::default()));
    }

    /// Generates small networks, so that neighbours and overlaps are frequent.
    fn network() -> impl Strategy<Value = IpNet> {
        let ipv4 = (0_u32..16, 28..=31_u8).prop_map(|(low, prefix)| IpNet::new(Ipv4Addr::from(low).into(), prefix));
        let ipv6 = (0_u128..16, 124..=127_u8).prop_map(|(low, prefix)| IpNet::new(Ipv6Addr::from(low).into(), prefix));
        prop_oneof![ipv4, ipv6].prop_map(|network| network.unwrap().trunc())
    }

    proptest! {
        #[test]
        fn inner_list_allows_only_what_outer_allows(inner in vec(network(), 0..3), outer in vec(network(), 0..6)) {
            let (inner, outer) = (AllowList(inner), AllowList(outer));
            let ipv4 = (0_u32..16).map(|low| IpAddr::from(Ipv4Addr::from(low)));
            let ipv6 = (0_u128..16).map(|low| IpAddr::from(Ipv6Addr::from(low)));
            // The last address is in no network.
            let mut addresses = ipv4.chain(ipv6).map(Some).chain([None, Some(Ipv4Addr::BROADCAST.into())]);
            let is_covered = addresses.all(|address| !inner.allows(address) || outer.allows(address));
            prop_assert_eq!(inner.is_within(&outer), is_covered);
        }

        #[test]
        fn any_accepted_text_is_shown_unchanged(text in "[0-9a-f:.]{0,12}/?[0-9]{0,3}") {
            if let Ok(list) = AllowList::parse(&[&text]) {
                let shown: Vec<_> = list.networks().map(|network| network.to_string()).collect();
                prop_assert_eq!(shown, [text]);
            }
        }
    }
}
