//! The same HTTP server, reading the body and answering 200: what no bridge on it can be faster than.

use actix_web::{App, HttpResponse, HttpServer, web};

pub(crate) fn serve(address: &str, workers: usize) -> Result<(), crate::Failure> {
    let app = || App::new().route("/readyz", web::get().to(ready)).default_service(web::post().to(accept));
    Ok(actix_web::rt::System::new().block_on(async { HttpServer::new(app).workers(workers).bind(address)?.run().await })?)
}

async fn accept(body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(format!("{{\"bytes\":{}}}", body.len()))
}

async fn ready() -> HttpResponse {
    HttpResponse::Ok().finish()
}
