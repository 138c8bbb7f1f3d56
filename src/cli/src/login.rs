//! `login` and `logout`.

use std::io::{self, BufRead, Read};

use gantry_api::system::auth::{AuthConfig, AuthResponse};
use rustix::termios::{self, LocalModes, OptionalActions};

use crate::connection::Query;
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND, Command, Count, Parsed, flag, option};
use crate::output;
use crate::session::Session;
use crate::terminal;

/// `login`.
pub const LOGIN: Command = Command {
    name: "login",
    usage: "[OPTIONS] [SERVER]",
    about: "Log in to a registry; Docker Hub if none is named",
    flags: &[&[
        option("password", "string", "Password or access token").short('p'),
        flag("password-stdin", "Read the password from standard input"),
        option("username", "string", "User name").short('u'),
    ]],
    count: Count::AtMost(1),
    run: login,
    ..COMMAND
};

/// `logout`.
pub const LOGOUT: Command = Command {
    name: "logout",
    usage: "[SERVER]",
    about: "Log out of a registry; Docker Hub if none is named",
    count: Count::AtMost(1),
    run: logout,
    ..COMMAND
};

fn read_line(question: &str, secret: bool) -> Outcome<String> {
    output::text(question)?;
    let stdin = io::stdin();
    let before = if secret {
        termios::tcgetattr(&stdin).ok()
    } else {
        None
    };
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(&stdin, OptionalActions::Now, &silent).map_err(io::Error::from)?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(before) = before {
        termios::tcsetattr(&stdin, OptionalActions::Now, &before).map_err(io::Error::from)?;
        output::text("\n")?;
    }
    read?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Name and password: from the flags, standard input, or by asking.
fn identify(parsed: &Parsed, known: &str) -> Outcome<(String, String)> {
    let name = parsed.text("username");
    if parsed.is("password-stdin") {
        if parsed.given("password") {
            return Err(Failure::new(
                "conflicting options: cannot specify both --password and --password-stdin",
            ));
        }
        if name.is_empty() {
            return Err(Failure::new(
                "the --password-stdin option requires --username to be set",
            ));
        }
        let mut password = String::new();
        io::stdin().read_to_string(&mut password)?;
        return Ok((
            name.to_owned(),
            password
                .trim_end_matches('\n')
                .trim_end_matches('\r')
                .to_owned(),
        ));
    }
    if parsed.given("password") {
        output::complain(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
        );
    }
    let mut name = name.to_owned();
    let mut password = parsed.text("password").to_owned();
    if (name.is_empty() || password.is_empty()) && !terminal::is_terminal(io::stdin()) {
        return Err(Failure::new(
            "Error: Cannot perform an interactive login from a non TTY device",
        ));
    }
    if name.is_empty() {
        let question = if known.is_empty() {
            "Username: ".to_owned()
        } else {
            format!("Username ({known}): ")
        };
        name = read_line(&question, false)?.trim().to_owned();
        if name.is_empty() {
            known.clone_into(&mut name);
        }
    }
    if name.is_empty() {
        return Err(Failure::new("Error: Non-null Username Required"));
    }
    if password.is_empty() {
        password = read_line("Password: ", true)?;
    }
    if password.is_empty() {
        return Err(Failure::new("Error: Password Required"));
    }
    Ok((name, password))
}

fn login(session: &Session, parsed: &Parsed) -> Outcome {
    let server = parsed
        .arguments
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let key = credentials::key(server);
    let stored = credentials::get(&session.configuration, &key)?;
    let asked = parsed.given("username") || parsed.given("password") || parsed.is("password-stdin");
    let engine = session.engine()?;
    if !asked && !stored.username.is_empty() {
        let answer = engine.post_json::<AuthResponse>("/auth", &Query::new(), &stored);
        if let Ok(answer) = answer {
            output::line("Authenticating with existing credentials...")?;
            return output::line(&answer.status);
        }
    }
    let (username, password) = identify(parsed, &stored.username)?;
    let mut login = AuthConfig {
        username,
        password,
        server_address: key,
        ..AuthConfig::default()
    };
    let answer: AuthResponse = engine.post_json("/auth", &Query::new(), &login)?;
    if !answer.identity_token.is_empty() {
        login.password.clear();
        login.identity_token = answer.identity_token;
    }
    let mut configuration = session.configuration.clone();
    credentials::store(&mut configuration, &login)?;
    if configuration.text("credsStore").is_none() {
        let path = configuration.folder.join("config.json");
        output::complain(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.",
            path.display()
        ));
        output::complain(
            "Configure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
        );
    }
    output::line(&answer.status)
}

fn logout(session: &Session, parsed: &Parsed) -> Outcome {
    let server = parsed
        .arguments
        .first()
        .map(String::as_str)
        .unwrap_or_default();
    let key = credentials::key(server);
    output::line(&format!("Removing login credentials for {key}"))?;
    let mut configuration = session.configuration.clone();
    credentials::erase(&mut configuration, &key)
}
