//! Reading the table page by page, so that memory stays flat however large it is.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        query::{QueryError, QueryOutput},
        scan::{ScanError, ScanOutput, builders::ScanFluentBuilder},
    },
    types::{AttributeValue, Select},
};
use aws_smithy_async::future::pagination_stream::PaginationStream;

use super::{
    Store,
    error::StoreError,
    item::{self, AppSummary, Attributes, CorruptItem, Record},
};
use crate::domain::{App, AppId};

/// Items, read a page at a time when the next page is asked for.
pub struct Pages<T> {
    store: Store,
    source: Source,
    read: fn(Attributes) -> Result<T, CorruptItem>,
}

enum Source {
    Scan(PaginationStream<Result<ScanOutput, SdkError<ScanError>>>),
    Query(PaginationStream<Result<QueryOutput, SdkError<QueryError>>>),
}

impl<T> Pages<T> {
    /// The next page, which may be empty, with what can't be read in it; `None` when there are no more.
    ///
    /// # Errors
    /// DynamoDB fails.
    pub async fn next(&mut self) -> Result<Option<Vec<Result<T, CorruptItem>>>, StoreError> {
        let items = match &mut self.source {
            Source::Scan(pages) => {
                let page = pages.next().await.transpose().map_err(|error| self.store.to_store_error(error.into()))?;
                page.map(|page| page.items)
            }
            Source::Query(pages) => {
                let page = pages.next().await.transpose().map_err(|error| self.store.to_store_error(error.into()))?;
                page.map(|page| page.items)
            }
        };
        Ok(items.map(|items| items.unwrap_or_default().into_iter().map(self.read).collect()))
    }
}

impl Store {
    /// All apps, in an order of the table's own that does not change; those behind `after` where that is given. A scan of
    /// the whole table that answers with the apps' summaries alone.
    ///
    /// A page is what DynamoDB reads at a time: 1 MB of the table, or `page_size` items, API keys among them.
    #[must_use]
    pub fn app_summaries(&self, after: Option<AppId>, page_size: Option<i32>) -> Pages<AppSummary> {
        let placeholders = item::SUMMARY.map(|attribute| format!("#{attribute}"));
        let mut scan = self
            .scan_apps()
            .set_exclusive_start_key(after.map(item::app_key))
            .set_limit(page_size)
            .select(Select::SpecificAttributes)
            .projection_expression(placeholders.join(", "));
        for (placeholder, attribute) in placeholders.into_iter().zip(item::SUMMARY) {
            scan = scan.expression_attribute_names(placeholder, attribute);
        }
        Pages { store: self.clone(), source: Source::Scan(scan.into_paginator().send()), read: item::to_app_summary }
    }

    /// All apps, whole.
    #[must_use]
    pub fn apps(&self) -> Pages<App> {
        let source = Source::Scan(self.scan_apps().into_paginator().send());
        Pages { store: self.clone(), source, read: item::to_app }
    }

    fn scan_apps(&self) -> ScanFluentBuilder {
        self.dynamodb
            .client()
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression("#sk = :app")
            .expression_attribute_names("#sk", item::SK)
            .expression_attribute_values(":app", AttributeValue::S(item::APP_SK.to_owned()))
    }

    /// All items of the table, or of one app, strongly consistent; one app's items follow one another.
    #[must_use]
    pub fn records(&self, app: Option<AppId>) -> Pages<Record> {
        let source = match app {
            None => {
                let scan = self.dynamodb.client().scan().table_name(&self.table).consistent_read(true);
                Source::Scan(scan.into_paginator().send())
            }
            Some(app) => {
                let query = self
                    .query()
                    .key_condition_expression("#pk = :app")
                    .expression_attribute_names("#pk", item::PK)
                    .expression_attribute_values(":app", item::app_pk(app));
                Source::Query(query.into_paginator().send())
            }
        };
        Pages { store: self.clone(), source, read: item::to_record }
    }
}
