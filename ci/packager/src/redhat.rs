//! An RPM, version 4 of the format, which every distribution in service reads.

use rpm::{BuildConfig, CompressionWithLevel, Dependency, FileOptions, PackageBuilder};

use crate::contents::{Content, DESCRIPTION, Item, LICENSE_NAME, file_name, package as contents};
use crate::error::Error;
use crate::scriptlets;
use crate::{Format, Order, Product, Stock};

/// The shell that runs the scriptlets.
const SHELL: &str = "/bin/sh";

/// The package: its file's name and its bytes.
///
/// # Errors
/// An executable or a page that is not there, or whatever the format refuses.
pub fn package(product: Product, order: &Order, stock: &Stock) -> Result<(String, Vec<u8>), Error> {
    let items = contents(product, Format::Rpm)?;
    let architecture = stock.architecture.rpm();
    let mut builder = PackageBuilder::new(
        product.name(),
        order.version.upstream(),
        LICENSE_NAME,
        architecture,
        product.summary(),
    );
    let config = BuildConfig::v4().source_date(order.epoch).compression(CompressionWithLevel::Gzip(6));
    builder
        .using_config(config)
        .release(order.version.release())
        .description(DESCRIPTION)
        .group("System Environment/Daemons")
        // Neither the machine nor the moment gets in.
        .build_host("localhost")
        .cookie(product.name());
    for other in product.conflicts() {
        builder.conflicts(Dependency::any(other));
    }
    for item in &items {
        add(&mut builder, item, stock)?;
    }
    let scripts = scriptlets::rpm(product, &items);
    if let Some(script) = scripts.after_install {
        builder.post_install_script(script).requires(Dependency::script_post(SHELL));
    }
    if let Some(script) = scripts.before_removal {
        builder.pre_uninstall_script(script).requires(Dependency::script_preun(SHELL));
    }
    if let Some(script) = scripts.after_removal {
        builder.post_uninstall_script(script).requires(Dependency::script_postun(SHELL));
    }
    let mut bytes = Vec::new();
    builder.build()?.write(&mut bytes)?;
    Ok((file_name(product, Format::Rpm, &order.version, stock), bytes))
}

fn add(builder: &mut PackageBuilder, item: &Item, stock: &Stock) -> Result<(), Error> {
    // Twelve bits: the table has nothing else.
    let mode = u16::try_from(item.mode).unwrap_or_default();
    let path = item.path.as_str();
    match (item.content.bytes(&item.path, stock)?, item.content) {
        (Some(bytes), content) => {
            let options = FileOptions::new(path).permissions(mode);
            let options = match content {
                Content::Config(_) => options.config().noreplace(),
                Content::License(_) => options.license(),
                Content::Manual => options.doc(),
                _ => options,
            };
            builder.with_file_contents(bytes, options)?;
        }
        (None, Content::Link(target)) => {
            builder.with_symlink(FileOptions::symlink(path, target))?;
        }
        (None, _) => {
            builder.with_dir_entry(FileOptions::dir(path).permissions(mode))?;
        }
    }
    Ok(())
}
