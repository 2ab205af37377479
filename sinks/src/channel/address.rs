//! Which addresses an alert may be sent to: a URL in the configuration must not reach inside the network by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The address, or one of the name's addresses, is not one we connect to.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} is not a public address; set allow_private = true if the receiver is inside your network"
)]
pub(super) struct Denied(pub(super) IpAddr);

/// Refuses an address unless it is public, or private and `allow_private`. Link-local addresses (cloud metadata
/// among them), multicast and the unspecified address are refused in any case.
pub(super) fn check(address: IpAddr, allow_private: bool) -> Result<(), Denied> {
    let permitted = match kind(address) {
        Kind::Public => true,
        Kind::Private => allow_private,
        Kind::Never => false,
    };
    if permitted { Ok(()) } else { Err(Denied(address)) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    Never,
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (10 | 127, ..) | (192, 168, _) | (172, 16..=31, _) | (100, 64..=127, _) => Kind::Private,
        (0 | 224..=255, ..)
        | (169, 254, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113) => Kind::Never,
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    let segments = address.segments();
    let embedded =
        |high: u16, low: u16| kind_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Kind::Private,
        // An IPv4 address in other clothes: mapped, through NAT64, by 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments (Teredo among them) and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Never,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never,
    }
}

/// Looks names up and refuses those that lead to a forbidden address. The connection goes to the addresses checked
/// here, so a name that answers differently the next time gains nothing.
pub(super) struct Guard {
    pub(super) allow_private: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                check(address.ip(), allow_private)?;
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn addresses() {
        let expect = |kind_expected: Kind, addresses: &[&str]| {
            for address in addresses {
                assert_eq!(kind(address.parse().unwrap()), kind_expected, "{address}");
            }
        };
        expect(
            Kind::Private,
            &[
                "127.0.0.1",
                "127.255.255.254",
                "10.0.0.1",
                "172.16.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "::1",
                "fd00::1",
                "fc00::1",
                "::ffff:127.0.0.1",
                "::ffff:10.1.2.3",
                "64:ff9b::a00:1",
                "2002:7f00:1::",
            ],
        );
        expect(
            Kind::Never,
            &[
                "0.0.0.0",
                "169.254.169.254",
                "192.0.0.1",
                "192.0.2.1",
                "198.18.0.1",
                "198.51.100.7",
                "203.0.113.9",
                "224.0.0.1",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "fe80::1",
                "fec0::1",
                "ff02::1",
                "2001:db8::1",
                "2001::1",
                "100::1",
                "::ffff:169.254.169.254",
                "::127.0.0.1",
                "64:ff9b:1::1",
            ],
        );
        expect(
            Kind::Public,
            &["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2606:4700::1111", "2a00::1"],
        );
    }

    #[test]
    fn private_needs_permission_and_metadata_never_gets_it() {
        let loopback = "127.0.0.1".parse().unwrap();
        assert!(check(loopback, false).is_err());
        assert!(check(loopback, true).is_ok());
        assert!(check("169.254.169.254".parse().unwrap(), true).is_err());
    }
}
