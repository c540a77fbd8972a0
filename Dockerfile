# Two small images from one build: `docker build --target proxy .` and `docker build --target backend .`.

FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
# Without debug information: a few MB less in the images.
RUN CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --release --locked -p proxy -p backend \
    && mv target/release/proxy target/release/backend /usr/local/bin/ \
    && rm -rf target

# What both have in common: no package added, the health check, and nobody's rights.
FROM debian:bookworm-slim AS runtime
COPY scripts/healthcheck.sh /usr/local/bin/healthcheck
USER 10001:10001

FROM runtime AS backend
COPY --from=build /usr/local/bin/backend /usr/local/bin/backend
EXPOSE 5000
HEALTHCHECK --interval=6s --timeout=5s --start-period=5s --retries=3 CMD ["healthcheck", "5000", "/healthz", "200"]
ENTRYPOINT ["backend"]
CMD ["--serve", "app=0.0.0.0:5000"]

FROM runtime AS proxy
COPY --from=build /usr/local/bin/proxy /usr/local/bin/proxy
EXPOSE 8080
# Whatever it answers, it works: a balancer is not ill because its backends are.
HEALTHCHECK --interval=6s --timeout=5s --start-period=5s --retries=3 CMD ["healthcheck", "8080", "/healthz"]
# Requests in flight are finished first.
STOPSIGNAL SIGQUIT
ENTRYPOINT ["proxy"]
