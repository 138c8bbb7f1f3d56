//! Expressions of nf_tables rules: a rule is a list of small operations on registers, ended by a verdict.
//!
//! linux/netfilter/nf_tables.h. Registers are the 4-byte ones (NFT_REG32_00 is 8), so concatenated keys lie side by side.

use super::wire::Attributes;

/// The first 4-byte register.
pub const R0: u32 = 8;
const VERDICT: u32 = 0;

/// What `meta` can load.
#[derive(Debug, Clone, Copy)]
pub enum Meta {
    /// Name of the interface the packet came in by: 16 bytes.
    InputName = 6,
    /// Name of the interface it leaves by: 16 bytes.
    OutputName = 7,
    /// 2 for IPv4, 10 for IPv6: 1 byte.
    Family = 15,
    /// TCP, UDP, …: 1 byte.
    Protocol = 16,
}

/// Fields of the packet: header base, offset and length in bytes.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    /// Source of an IPv4 packet.
    Source4,
    /// Destination of an IPv4 packet.
    Destination4,
    /// First byte of that destination.
    Destination4Net,
    /// Source of an IPv6 packet.
    Source6,
    /// Destination of an IPv6 packet.
    Destination6,
    /// Destination port.
    Port,
}

/// What ends a rule.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// The packet is gone.
    Drop = 0,
    /// The packet passes this hook of this table.
    Accept = 1,
}

/// A rule under construction.
#[derive(Debug, Default, Clone)]
pub struct Expressions(Attributes);

impl Expressions {
    fn add(self, name: &str, data: &Attributes) -> Self {
        let expression = Attributes::default().text(1, name).nest(2, data);
        Self(self.0.nest(1, &expression))
    }

    /// The finished list (NFTA_RULE_EXPRESSIONS).
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.0
    }

    /// Loads a property of the packet into `register`.
    #[must_use]
    pub fn meta(self, key: Meta, register: u32) -> Self {
        self.add(
            "meta",
            &Attributes::default()
                .number(1, register)
                .number(2, key as u32),
        )
    }

    /// Loads a header field into `register`.
    #[must_use]
    pub fn field(self, field: Field, register: u32) -> Self {
        let (base, offset, length) = match field {
            Field::Source4 => (1, 12, 4),
            Field::Destination4 => (1, 16, 4),
            Field::Destination4Net => (1, 16, 1),
            Field::Source6 => (1, 8, 16),
            Field::Destination6 => (1, 24, 16),
            Field::Port => (2, 2, 2),
        };
        let data = Attributes::default()
            .number(1, register)
            .number(2, base)
            .number(3, offset);
        self.add("payload", &data.number(4, length))
    }

    /// Goes on only if the register is equal (or, `equal` being false, unequal) to `value`.
    #[must_use]
    pub fn compare(self, register: u32, equal: bool, value: &[u8]) -> Self {
        let value = Attributes::default().bytes(1, value);
        self.add(
            "cmp",
            &Attributes::default()
                .number(1, register)
                .number(2, u32::from(!equal))
                .nest(3, &value),
        )
    }

    /// Goes on only for IPv4 (2) or IPv6 (10).
    #[must_use]
    pub fn family(self, family: u8) -> Self {
        self.meta(Meta::Family, R0).compare(R0, true, &[family])
    }

    /// Goes on only if the packet's destination is an address of this host (RTN_LOCAL).
    #[must_use]
    pub fn to_local(self) -> Self {
        // NFTA_FIB_DREG, NFTA_FIB_RESULT = NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_FLAGS = NFTA_FIB_F_DADDR
        let data = Attributes::default()
            .number(1, R0)
            .number(2, 3)
            .number(3, 2);
        self.add("fib", &data)
            .compare(R0, true, &2u32.to_ne_bytes())
    }

    /// Goes on only if the connection's state or status (`key` of NFT_CT_*) has a bit of `mask`.
    fn conntrack(self, key: u32, mask: u32) -> Self {
        let load = Attributes::default().number(1, R0).number(2, key);
        let bits = Attributes::default().bytes(1, &mask.to_ne_bytes());
        let none = Attributes::default().bytes(1, &[0; 4]);
        let and = Attributes::default()
            .number(1, R0)
            .number(2, R0)
            .number(3, 4)
            .nest(4, &bits)
            .nest(5, &none);
        self.add("ct", &load)
            .add("bitwise", &and)
            .compare(R0, false, &[0; 4])
    }

    /// Goes on only for packets of a known connection, or related to one.
    #[must_use]
    pub fn known_connection(self) -> Self {
        self.conntrack(0, 0b110)
    }

    /// Goes on only for connections whose destination was rewritten (IPS_DST_NAT).
    #[must_use]
    pub fn rewritten_destination(self) -> Self {
        self.conntrack(2, 0x20)
    }

    /// Goes on only if the key at `register` is (or is not) in `set`.
    #[must_use]
    pub fn within(self, set: &str, register: u32, inside: bool) -> Self {
        let data = Attributes::default().text(1, set).number(2, register);
        self.add("lookup", &data.number(5, u32::from(!inside)))
    }

    /// Goes on only if the key at `register` is in `map`, and loads what it maps to into `result`.
    #[must_use]
    pub fn mapped(self, map: &str, register: u32, result: u32) -> Self {
        self.add(
            "lookup",
            &Attributes::default()
                .text(1, map)
                .number(2, register)
                .number(3, result),
        )
    }

    /// Loads a constant.
    #[must_use]
    pub fn constant(self, register: u32, value: &[u8]) -> Self {
        let value = Attributes::default().bytes(1, value);
        self.add(
            "immediate",
            &Attributes::default().number(1, register).nest(2, &value),
        )
    }

    /// Rewrites the destination to the address and port in two registers; `family` is 2 or 10.
    #[must_use]
    pub fn destination_nat(self, family: u32, address: u32, port: u32) -> Self {
        let data = Attributes::default()
            .number(1, 1)
            .number(2, family)
            .number(3, address);
        self.add("nat", &data.number(5, port))
    }

    /// Rewrites the source to the address of the outgoing interface.
    #[must_use]
    pub fn masquerade(self) -> Self {
        self.add("masq", &Attributes::default())
    }

    /// Ends the rule.
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        let code = Attributes::default().number(1, verdict as u32);
        let value = Attributes::default().nest(2, &code);
        self.add(
            "immediate",
            &Attributes::default().number(1, VERDICT).nest(2, &value),
        )
    }
}
