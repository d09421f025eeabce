# syntax=docker/dockerfile:1
# The connector and its simulated upstream in one image: `run` by default, any other command as an argument.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin promoter-connector \
    && cp target/release/promoter-connector /usr/local/bin/

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/promoter-connector /usr/local/bin/
# It writes no file: its state is on Kafka. Its configuration and secrets are mounted.
USER 65532:65532
WORKDIR /config
VOLUME /config
# The exec form makes it process 1, which gets SIGTERM itself, drains and commits; it starts no children to reap.
STOPSIGNAL SIGTERM
# The image has no program that speaks HTTP but this one. Kubernetes asks the admin port by itself.
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=4 CMD ["promoter-connector", "status", "--probe", "live"]
ENTRYPOINT ["promoter-connector"]
CMD ["run"]
