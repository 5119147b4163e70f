//! Which addresses and ports the daemon may be sent to by somebody who is not its operator.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to the public internet: not to this machine, its networks or its cloud, and not to what the
/// [IANA special-purpose registries](https://www.iana.org/assignments/iana-ipv6-special-registry) reserve. An IPv6 address
/// that stands for an IPv4 address (mapped, NAT64, 6to4) is judged by the latter.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether nobody runs HTTP on a port: those of other protocols, which could be made to take a request for commands.
/// After the [Fetch standard](https://fetch.spec.whatwg.org/#port-blocking), and databases.
pub fn is_foreign_port(port: u16) -> bool {
    const FETCH: &[u16] = &[
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
        115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563,
        587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669,
        6679, 6697, 10080,
    ];
    const DATABASES: &[u16] = &[1433, 1521, 3306, 5432, 6379, 11211, 27017];
    FETCH.contains(&port) || DATABASES.contains(&port)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let reserved = match address.octets() {
        [0 | 10 | 127, ..] => true,                     // this network, private, loopback
        [100, second, ..] => second & 0xc0 == 64,       // 100.64/10: carrier-grade NAT, and Alibaba's metadata
        [169, 254, ..] => true,                         // link-local, and most clouds' metadata
        [172, second, ..] => second & 0xf0 == 16,       // 172.16/12: private
        [192, 0, 0 | 2, _] | [192, 88, 99, _] => true,  // protocol assignments, documentation, 6to4 relays
        [192, 168, ..] => true,                         // private
        [198, 18 | 19, ..] | [198, 51, 100, _] => true, // benchmarks, documentation
        [203, 0, 113, _] => true,                       // documentation
        [168, 63, 129, 16] => true,                     // looks public, but is Azure's agent inside every machine there
        [224..=255, ..] => true,                        // multicast, reserved, broadcast
        _ => false,
    };
    !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),        // ::ffff:0:0/96: mapped
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),     // 64:ff9b::/96: NAT64
        [0x2002, high, low, ..] => v4(high, low),                   // 2002::/16: 6to4
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8, // without protocol assignments (Teredo …) and documentation
        [0x3fff, second, ..] => second >= 0x1000,                   // without documentation
        // Only 2000::/3 is handed out; the rest is loopback, unspecified, IPv4-compatible, local NAT64, unique local,
        // link-local, site-local, multicast or reserved.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn private_addresses() {
        let addresses = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            // IPv6 proper
            "::",
            "::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fdff:ffff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "1fff::1",
            "4000::1",
            // IPv4 in disguise: mapped, translated, compatible, NAT64, 6to4, Teredo
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "::10.0.0.1",
            "::8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::",
            "2001:0:7f00:1::",
        ];
        for address in addresses {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn public_addresses() {
        let addresses = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.0.3.1",
            "192.88.98.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.1",
            "203.0.112.1",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "3ffe::1",
            "3fff:1000::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ];
        for address in addresses {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn ports_of_other_protocols() {
        for port in [0, 21, 22, 25, 53, 110, 143, 587, 993, 3306, 5432, 6379, 6667, 11211, 27017] {
            assert!(is_foreign_port(port), "{port}");
        }
        for port in [80, 81, 443, 444, 3000, 5678, 8000, 8080, 8443, 9000, 65535] {
            assert!(!is_foreign_port(port), "{port}");
        }
    }
}
