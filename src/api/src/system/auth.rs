//! `POST /auth`, and what `X-Registry-Auth` holds (base64url JSON).

use crate::word::object;

object! {
    /// Credentials for one registry.
    AuthConfig {
        "username"? username: String,
        "password"? password: String,
        "auth"? auth: String,
        "email"? email: String,
        "serveraddress"? server_address: String,
        "identitytoken"? identity_token: String,
        "registrytoken"? registry_token: String,
    }
}

object! {
    /// The answer of `POST /auth`.
    AuthResponse {
        "IdentityToken"? identity_token: String,
        "Status" status: String,
    }
}
