//! buildah with OCI isolation.

use std::process::Command;

use libtest_mimic::Failed;

use crate::{Case, Runtime, Stage, expect, succeed};

/// What buildah does with a runtime.
pub const CASES: &[Case] = &[("run", run), ("bud", bud)];

fn buildah(stage: &Stage, runtime: &Runtime, case: &str) -> Result<Command, Failed> {
    let home = stage.dir.join(format!("buildah-{}-{case}", runtime.name));
    let mut command = Command::new("buildah");
    command.env("CONTAINERS_CONF", stage.dir.join("containers.conf"));
    command
        .arg("--root")
        .arg(home.join("root"))
        .arg("--runroot")
        .arg(home.join("run"));
    command.args(["--storage-driver", "vfs"]);
    Ok(command)
}

/// A working container of the image; its name.
fn from_image(stage: &Stage, runtime: &Runtime, case: &str) -> Result<String, Failed> {
    let name = succeed(buildah(stage, runtime, case)?.args(["from", "scratch"]))?;
    succeed(
        buildah(stage, runtime, case)?
            .arg("add")
            .arg(&name)
            .arg(stage.dir.join("rootfs.tar"))
            .arg("/"),
    )?;
    Ok(name)
}

fn isolated(mut command: Command, verb: &str, runtime: &Runtime) -> Command {
    command
        .args([verb, "--isolation", "oci", "--network", "none", "--runtime"])
        .arg(&runtime.path);
    command
}

fn run(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let name = from_image(stage, runtime, "run")?;
    let mut command = isolated(buildah(stage, runtime, "run")?, "run", runtime);
    command.args([
        name.as_str(),
        "--",
        "sh",
        "-c",
        "echo $(id -u) built > /x; cat /x",
    ]);
    expect(&succeed(&mut command)?, "0 built")
}

fn bud(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let name = from_image(stage, runtime, "bud")?;
    succeed(buildah(stage, runtime, "bud")?.args(["commit", "-q", &name, "localhost/bb"]))?;
    let mut command = isolated(buildah(stage, runtime, "bud")?, "bud", runtime);
    command.args(["--ulimit", "nofile=1024:1024", "-q", "-t", "built", "-f"]);
    command
        .arg(stage.dir.join("Dockerfile"))
        .arg(stage.dir.join("rootfs/tmp"));
    succeed(&mut command)?;
    let made = succeed(buildah(stage, runtime, "bud")?.args(["from", "built"]))?;
    let mut command = isolated(buildah(stage, runtime, "bud")?, "run", runtime);
    command.args([made.as_str(), "--", "cat", "/two"]);
    expect(&succeed(&mut command)?, "two")
}
