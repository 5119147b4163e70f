//! The published description of the API, made from the table of routes and the handlers.
use super::routes::ROUTES;
use utoipa::openapi::path::{HttpMethod, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Required};

/// The description as a page needs it.
pub fn page() -> utoipa_swagger_ui::SwaggerUi {
    utoipa_swagger_ui::SwaggerUi::new("/swagger/{_:.*}").url("/swagger/swagger.json", description())
}

/// The description of the API (OpenAPI 3.1), made from the table and the handlers.
pub fn description() -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = Vec::new();
    for route in ROUTES {
        let mut operation = (route.description)();
        (route.schemas)(&mut schemas);
        let id = format!("{}_{}", route.method.to_lowercase(), route.path.trim_matches('/').replace(['/', '{', '}'], "_"));
        operation.operation_id = Some(id);
        let named = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let of_path =
            named.map(|name| ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True).build().into());
        operation.parameters.get_or_insert_default().extend(of_path);
        let method = match route.method {
            "GET" => HttpMethod::Get,
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "PATCH" => HttpMethod::Patch,
            _ => HttpMethod::Delete,
        };
        paths.add_path_operation(route.path, vec![method], operation);
    }
    let info = InfoBuilder::new()
        .title("Konversio")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Sign in with the header `api_access_token`. Conversations are named by the number people see (`display_id`)."))
        .build();
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn no_two_request_bodies_share_a_name() {
        let mut schemas = Vec::new();
        ROUTES.iter().for_each(|route| (route.schemas)(&mut schemas));
        let mut seen = HashMap::new();
        for (name, schema) in schemas {
            let form = serde_json::to_string(&schema).unwrap_or_default();
            let before = seen.insert(name.clone(), form.clone());
            assert!(before.is_none_or(|before| before == form), "{name} is described twice, and not the same");
        }
    }
}
