//! An image that no registry is needed for: a static busybox alone, whose entry point waits to be ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;

/// What the image is called.
pub(crate) const NAME: &str = "registry.example/pause:1";
const MAKE: &str = r#"set -e
mkdir -p "$1/layer/bin" "$1/layer/etc" "$1/layer/proc" "$1/layer/sys" "$1/layer/dev" "$1/layer/tmp" "$1/layer/run"
cp /bin/busybox "$1/layer/bin/"
tar -C "$1/layer" -cf "$1/layer.tar" bin etc proc sys dev tmp run
sum=$(sha256sum "$1/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/busybox","sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"test"}]}' "$sum" > "$1/config.json"
printf '[{"Config":"config.json","RepoTags":["registry.example/pause:1"],"Layers":["layer.tar"]}]' > "$1/manifest.json"
tar -C "$1" -cf "$1/image.tar" manifest.json config.json layer.tar"#;

/// Whether it can be made; says what is skipped where it cannot.
pub(crate) fn can_be_made(test: &str) -> bool {
    // One that needs libraries could not start in an image that has none.
    let is_static = Path::new("/bin/busybox").exists()
        && !Command::new("ldd").arg("/bin/busybox").output().is_ok_and(|output| output.status.success());
    if !is_static {
        eprintln!("SKIPPED {test}: busybox-static");
    }
    is_static
}

/// Makes it in a directory; the archive, in docker's form.
pub(crate) fn make(directory: &Path) -> PathBuf {
    run("sh", &["-c", MAKE, "sh", &directory.display().to_string()]);
    directory.join("image.tar")
}
