//! OVSDB (RFC 7047): values and their notation, schemas, the JSON-RPC stream, and a client. Knows no table of Nuage.
