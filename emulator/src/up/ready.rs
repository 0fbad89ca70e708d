//! What the ready-made domain needs so that packets pass on a site whose monitor does not say who may talk to whom: a domain
//! without templates lets nothing through. Never touches a domain that has templates.

use serde_json::json;

use crate::error::Error;
use crate::node;
use crate::vsd::client::{Client, id};

/// Lets the ready-made domain pass everything, behind whatever is said later.
///
/// # Errors
/// What the VSD says.
pub(super) async fn open_domain(vsd: &Client) -> Result<(), Error> {
    let told = |error: crate::vsd::client::Error| Error::Vsd(error.to_string());
    let enterprise = vsd.find("enterprises", "name", node::ENTERPRISE).await.map_err(told)?;
    let Some(enterprise) = enterprise else { return Ok(()) };
    let domains = format!("enterprises/{}/domains", id(&enterprise).map_err(told)?);
    let Some(domain) = vsd.find(&domains, "name", node::DOMAIN).await.map_err(told)? else { return Ok(()) };
    let domain = id(&domain).map_err(told)?;
    for way in ["ingress", "egress"] {
        let path = format!("domains/{domain}/{way}acltemplates");
        if vsd.list(&path, None).await.map_err(told)?.is_empty() {
            let template = json!({
                "name": format!("Allow all {way}"), "active": true, "priorityType": "BOTTOM",
                "defaultAllowIP": true, "defaultAllowNonIP": true,
            });
            vsd.create(&path, &template).await.map_err(told)?;
        }
    }
    Ok(())
}
