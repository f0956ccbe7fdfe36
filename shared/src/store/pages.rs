//! Reads the table page by page, so that memory use does not grow with the table.

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

/// Items, of which each page is read when it is requested.
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
    /// Reads the next page, which may be empty, with its corrupt items as errors. Returns `None` after the last page.
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
    /// Scans the table for the summaries of all apps, or of those after `after`. The order is arbitrary but stable.
    ///
    /// DynamoDB reads 1 MB of the table for each page, or `page_size` items, including those that are not apps.
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

    /// Scans the table for all apps.
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

    /// Reads all items of the table, or of one app, strongly consistent. Items of one app are next to each other.
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
