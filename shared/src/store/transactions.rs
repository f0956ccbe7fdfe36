//! Builds and commits transactions, and updates single items.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::BuildError,
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{
        AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
        builders::{PutBuilder, UpdateBuilder},
    },
};

use super::{
    Store,
    error::StoreError,
    item::{self, Changes},
};
use crate::{
    aws::{Item, send},
    domain::{AppId, Timestamp},
};

/// Returns the waits between attempts of a change that commutes with all others, after [`StoreError::Conflict`]. They
/// are random, so that the same writers do not collide again. Together they are shorter than 4 seconds.
pub fn waits_after_conflict() -> impl Iterator<Item = Duration> {
    const LONGEST: [u64; 10] = [20, 40, 80, 160, 320, 640, 640, 640, 640, 640];
    LONGEST.into_iter().map(|longest| Duration::from_millis(longest).mul_f64(fastrand::f64()))
}

impl Store {
    pub(super) fn deletion(&self, key: Item) -> Result<TransactWriteItem, BuildError> {
        let deletion = Delete::builder().table_name(&self.table).set_key(Some(key)).build()?;
        Ok(TransactWriteItem::builder().delete(deletion).build())
    }

    pub(super) fn check_app(&self, app: AppId, condition: &str) -> Result<TransactWriteItem, BuildError> {
        self.check(item::app_key(app), condition)
    }

    pub(super) fn check(&self, key: Item, condition: &str) -> Result<TransactWriteItem, BuildError> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(key))
            .condition_expression(condition)
            .expression_attribute_names("#pk", item::PK)
            .build()?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    pub(super) fn put(&self, item: Item) -> PutBuilder {
        Put::builder().table_name(&self.table).set_item(Some(item))
    }

    pub(super) fn put_new(&self, item: Item) -> PutBuilder {
        self.put(item).condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", item::PK)
    }

    /// Increments the app's `version`, so that every other change in flight fails.
    pub(super) fn increment_version(&self, app: AppId, now: Timestamp) -> Result<TransactWriteItem, BuildError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item::app_key(app)))
            .update_expression("SET #version = #version + :one, #updated = :now")
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#pk", item::PK)
            .expression_attribute_names("#version", item::VERSION)
            .expression_attribute_names("#updated", item::UPDATED_AT)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Returns a builder for the update of an item outside a transaction.
    pub(super) fn update_item(&self, key: Item) -> UpdateItemFluentBuilder {
        self.dynamodb.client().update_item().table_name(&self.table).set_key(Some(key))
    }

    /// Updates an item. Does nothing if the condition fails or a transaction of the item is in progress.
    pub(super) async fn update_if_possible(&self, update: UpdateItemFluentBuilder) -> Result<(), StoreError> {
        match send(update.send()).await.map_err(|error| self.to_store_error(error)) {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn transact(
        &self,
        items: impl IntoIterator<Item = Result<TransactWriteItem, BuildError>>,
    ) -> Result<(), StoreError> {
        let items = items.into_iter().collect::<Result<_, _>>()?;
        let writing = self.dynamodb.client().transact_write_items().set_transact_items(Some(items));
        send(writing.send()).await.map(drop).map_err(|error| self.to_store_error(error))
    }
}

/// Builds the update of an item from its changes, which must set at least one attribute.
pub(super) fn update(table: &str, key: Item, changes: Changes) -> UpdateBuilder {
    let mut update = Update::builder().table_name(table).set_key(Some(key));
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    for (attribute, value) in changes {
        let name = format!("#{attribute}");
        match value {
            Some(value) => {
                set.push(format!("{name} = :{attribute}"));
                update = update.expression_attribute_values(format!(":{attribute}"), value);
            }
            None => removed.push(name.clone()),
        }
        update = update.expression_attribute_names(name, attribute);
    }
    let mut expression = format!("SET {}", set.join(", "));
    if !removed.is_empty() {
        expression.push_str(&format!(" REMOVE {}", removed.join(", ")));
    }
    update.update_expression(expression)
}

pub(super) fn into_transaction(put: PutBuilder) -> Result<TransactWriteItem, BuildError> {
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}
