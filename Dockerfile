# One static binary on nothing else. Build it with the version it should report:
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t agentsvc .

FROM golang:1.26 AS build
WORKDIR /src
# Dependencies change seldom, so they are a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unversioned
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X main.version=${VERSION}" -o /agentsvc ./cmd/agentsvc

FROM scratch
# To trust the vendor's and the database's certificates.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /agentsvc /usr/local/bin/agentsvc
# Nobody in particular: the process writes no files.
USER 65532:65532
EXPOSE 8080
# There is no HEALTHCHECK, as there is no program here to run one with. Ask
# /healthz (restart when it fails) and /readyz (send no requests while it fails).
ENTRYPOINT ["/usr/local/bin/agentsvc"]
CMD ["serve"]
