//! How docker writes and reads its JSON: Go's `omitempty`, and `null` taken for the zero value.
//!
//! Go's decoder leaves a field alone when it meets `null`; clients lean on that (the CLI sends `null` for every empty
//! list and map), so every field here reads `null` as its default. Unknown fields are ignored.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Go's `struct{}` as a JSON value: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    /// Anything will do, `null` as well: only the key beside it counts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// A set as docker writes it: `{"80/tcp":{}}`.
pub type Set = BTreeMap<String, Empty>;

/// A string map; `BTreeMap` because Go writes map keys sorted.
pub type Map = BTreeMap<String, String>;

/// Reads a value, `null` being the type's default.
///
/// # Errors
/// What `T`'s own reading refuses.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a list of words that old clients send as one string (`Cmd`, `Entrypoint`).
///
/// # Errors
/// Anything that is neither `null`, a string nor a list of strings.
pub fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        One(String),
        Many(Vec<String>),
    }
    Ok(
        Option::<Form>::deserialize(deserializer)?.map(|form| match form {
            Form::One(word) => vec![word],
            Form::Many(words) => words,
        }),
    )
}

/// What Go's `omitempty` leaves out.
pub trait Absent {
    /// Whether the value is Go's zero: `false`, `0`, `""`, an empty list or map, a nil pointer.
    fn absent(&self) -> bool;
}

impl Absent for bool {
    fn absent(&self) -> bool {
        !self
    }
}

impl Absent for String {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Absent for BTreeMap<K, V> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}

macro_rules! absent_numbers {
    ($($number:ty)*) => {$(
        impl Absent for $number {
            fn absent(&self) -> bool {
                *self == 0
            }
        }
    )*};
}
absent_numbers!(i32 i64 u16 u32 u64);

/// Calls [`Absent::absent`]; a plain function because serde's attribute wants a path.
pub fn absent<T: Absent>(value: &T) -> bool {
    value.absent()
}

/// Defines one JSON object of the API: `"Name" field: Type` always written, `"Name"? field: Type` left out when empty
/// (Go's `omitempty`), `.. field: Type` another object's fields in place. Written in the order given.
macro_rules! object {
    ($(#[$meta:meta])* $name:ident { $($body:tt)* }) => {
        $crate::word::object!(@ [$(#[$meta])*] $name [] $($body)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($done:tt)*] $(#[$fm:meta])* $json:literal ? $field:ident : $ty:ty, $($rest:tt)*) => {
        $crate::word::object!(@ [$($meta)*] $name [$($done)*
            #[doc = concat!("`", $json, "`, left out when empty.")]
            $(#[$fm])*
            #[serde(rename = $json, deserialize_with = "crate::word::or_default", skip_serializing_if = "crate::word::absent")]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($done:tt)*] $(#[$fm:meta])* $json:literal * $field:ident : $ty:ty, $($rest:tt)*) => {
        $crate::word::object!(@ [$($meta)*] $name [$($done)*
            #[doc = concat!("`", $json, "`; one string is read as a list of one.")]
            $(#[$fm])*
            #[serde(rename = $json, deserialize_with = "crate::word::words")]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($done:tt)*] $(#[$fm:meta])* $json:literal $field:ident : $ty:ty, $($rest:tt)*) => {
        $crate::word::object!(@ [$($meta)*] $name [$($done)*
            #[doc = concat!("`", $json, "`.")]
            $(#[$fm])*
            #[serde(rename = $json, deserialize_with = "crate::word::or_default")]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($done:tt)*] $(#[$fm:meta])* .. $field:ident : $ty:ty, $($rest:tt)*) => {
        $crate::word::object!(@ [$($meta)*] $name [$($done)*
            #[doc = concat!("The fields of [`", stringify!($ty), "`], in place.")]
            $(#[$fm])*
            #[serde(flatten)]
            pub $field: $ty,
        ] $($rest)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($done:tt)*]) => {
        $($meta)*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name { $($done)* }
    };
}
pub(crate) use object;
