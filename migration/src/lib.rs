//! The migrations, oldest first. Each names its own tables and never looks at today's entities, so that it keeps meaning the same.
pub use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait};

mod columns;
mod m20261121_000001_spine;
mod m20261121_000002_desk;
mod m20261121_000003_reads;
mod m20261121_000004_contacts;
mod m20261121_000006_event_log;
mod m20261121_000007_programs;
mod m20261121_000008_mails;
mod m20261121_000009_mail_threads;
mod m20261121_000010_outbox;
mod m20261121_000011_people;
mod m20261121_000013_announcements;
mod m20261121_000014_assignment_policies;
mod m20261121_000015_orders;
mod m20261121_000016_providers;
mod m20261121_000020_channels;
mod m20261121_000030_websites;

/// All migrations in order.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_spine::Migration),
            Box::new(m20261121_000002_desk::Migration),
            Box::new(m20261121_000007_programs::Migration),
            Box::new(m20261121_000008_mails::Migration),
            Box::new(m20261121_000004_contacts::Migration),
            Box::new(m20261121_000006_event_log::Migration),
            Box::new(m20261121_000003_reads::Migration),
            Box::new(m20261121_000013_announcements::Migration),
            Box::new(m20261121_000014_assignment_policies::Migration),
            Box::new(m20261121_000015_orders::Migration),
            Box::new(m20261121_000011_people::Migration),
            Box::new(m20261121_000009_mail_threads::Migration),
            Box::new(m20261121_000010_outbox::Migration),
            Box::new(m20261121_000016_providers::Migration),
            Box::new(m20261121_000020_channels::Migration),
            Box::new(m20261121_000030_websites::Migration),
        ]
    }
}
