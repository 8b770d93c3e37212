//! What is told of a service's requests and flows while somebody watches.

use futures_util::{StreamExt, stream};
use van_api::TapLines;
use van_model::api::{TapLine, shown_query};
use van_model::{Address, ApiError, ErrorCode};

use crate::site::Site;

impl Site {
    pub(crate) fn tap_service(&self, asked: &str, values: bool) -> Result<TapLines, ApiError> {
        let address: Address = asked.parse().map_err(|error| {
            let message = format!("{asked:?} is no address: {error}");
            ApiError::new(ErrorCode::Invalid, message)
        })?;
        let known = self.service_resources();
        let about = |other: &Address| *other == address || other.name() == address.as_str();
        if !known.iter().any(|service| about(&service.spec.address)) {
            let message = format!("no service named {address} is known");
            return Err(ApiError::new(ErrorCode::NotFound, message)
                .hint("'vanctl service status' shows what is known"));
        }
        let lines = self.dispatcher.flow_log().tap().listen(address).ok_or_else(|| {
            ApiError::new(ErrorCode::Conflict, "8 others tap already")
                .hint("end one of them and try again")
        })?;
        let site = self.arc();
        let lines = stream::unfold((lines, site, values), async |(mut lines, site, values)| {
            let mut line = lines.recv().await?;
            site.complete(&mut line, values);
            Some((line, (lines, site, values)))
        });
        Ok(lines.boxed())
    }

    /// Adds what the data plane does not know, and takes out what was not asked for.
    fn complete(&self, line: &mut TapLine, values: bool) {
        let label = |id| self.names(&self.map.routes()).label(id);
        match line {
            TapLine::Request(request) => {
                request.peer_name = request.peer.map(label);
                request.query = request.query.take().map(|query| shown_query(&query, values));
            }
            TapLine::Flow(flow) => flow.peer_name = flow.peer.map(label),
            TapLine::Lost { .. } => {}
        }
    }
}
