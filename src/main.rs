//! The command line and its exit codes: 0 done, 1 failed or invalid settings, 2 wrong usage (from clap).
use actors::secret::Secret;
use clap::{Parser, Subcommand};
use konversio::{daemon, settings::Settings, telemetry};
use std::{path::PathBuf, process::ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Konversio, an omnichannel customer-support gateway: carries messages between channels and agents.
///
/// Settings come from defaults, then the settings file, then environment variables (KONVERSIO__SERVER__BIND is server.bind;
/// lists separated by commas). konversio.toml in the source tree explains every setting.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 failed or invalid settings, 2 wrong usage")]
struct Arguments {
    /// The settings file; ./konversio.toml is read if it exists and none is named
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
#[rustfmt::skip]
enum Command {
    #[command(about = "Run the daemon until SIGTERM or SIGINT (the default); SIGHUP reloads the settings")] Serve,
    #[command(about = "Check the settings file and the environment, and start nothing")] CheckConfig,
    #[command(about = "Bring the database to the newest schema, and end")] Migrate,
    #[command(about = "Create an administrator of an account")]
    CreateAdmin {
        #[arg(long, help = "The address to sign in with")] email: String,
        #[arg(long, help = "The name other agents see")] name: String,
        #[arg(long, env = "KONVERSIO_ADMIN_PASSWORD", hide_env_values = true, help = "The password; safer as the variable")] password: String,
        #[arg(long, default_value_t = 1, help = "The account to administer")] account_id: i64,
    },
    #[command(about = "Set the password of a user, whose sessions end; the daemon must not run")]
    SetPassword {
        #[arg(long, help = "The address the user signs in with")] email: String,
        #[arg(long, env = "KONVERSIO_PASSWORD", hide_env_values = true, help = "The password; safer as the variable")] password: String,
    },
    #[command(about = "Create a platform app, which manages accounts and users, and print its token")]
    CreatePlatformApp {
        #[arg(help = "What to call it")] name: String,
    },
}

fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse()) else { return ExitCode::SUCCESS };
    eprintln!("konversio: {error:#}");
    ExitCode::FAILURE
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = Settings::load(arguments.config.as_deref())?;
    telemetry::init(&settings.log)?;
    // Fails only if a provider is installed already, which is then the one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => daemon::run(settings, arguments.config)?,
        Command::CheckConfig => println!("ok: {} inboxes in the file, database {}", settings.inboxes.len(), settings.database()),
        Command::Migrate => daemon::migrate(&settings)?,
        Command::CreatePlatformApp { name } => daemon::create_platform_app(&settings, &name)?,
        Command::SetPassword { email, password } => daemon::set_password(&settings, &email, &Secret::new(password))?,
        Command::CreateAdmin { email, name, password, account_id } => {
            daemon::create_admin(&settings, daemon::CreateAdmin { email, name, password: Secret::new(password), account_id })?;
        }
    }
    Ok(())
}
