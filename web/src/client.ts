// How a browser calls agentsvc: one transport to it, and what its errors say.
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb";

/** Target is where to call, as whom, and in which protocol. */
export interface Target {
  /** Origin of the service, such as "https://agentsvc.example.com". */
  baseUrl: string;
  /** Empty: the caller is nobody. */
  token: string;
  /** Over connect, reads are GETs, which a browser may repeat when a connection breaks. */
  protocol: "connect" | "grpc-web";
}

/**
 * transportTo makes what the clients of all services share. Messages are binary: an Operation
 * holds the request and response it is about, and to read those as JSON a client would have
 * to carry the description of every message there is.
 */
export function transportTo(target: Target): Transport {
  const options = {
    baseUrl: target.baseUrl,
    useBinaryFormat: true,
    interceptors: [bearer(target.token)],
  };
  if (target.protocol === "grpc-web") {
    return createGrpcWebTransport(options);
  }
  return createConnectTransport({ ...options, useHttpGet: true });
}

// bearer adds the token as a header. It is never part of a URL, which histories and the logs
// of proxies keep; and never a cookie, which a browser would send for any page that asks.
function bearer(token: string): Interceptor {
  return (next) => (request) => {
    if (token !== "") {
      request.header.set("Authorization", `Bearer ${token}`);
    }
    return next(request);
  };
}

/** Problem is what an error says. Decide by its reason, show its message. */
export interface Problem {
  code: string;
  /** Name of an agentsvc.v1.ErrorReason; empty when no answer of the service was read. */
  reason: string;
  message: string;
  /** For operators; empty when no answer of the service was read. */
  requestId: string;
  /** The fields that are wrong, and why. */
  fields: Record<string, string>;
}

/** problemOf reads an error that a call ended with. */
export function problemOf(cause: unknown): Problem {
  const error = ConnectError.from(cause);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const violations = error.findDetails(BadRequestSchema).flatMap((d) => d.fieldViolations);
  return {
    code: Code[error.code] ?? String(error.code),
    reason: info?.reason ?? "",
    message: error.rawMessage,
    requestId: info?.metadata.request_id ?? "",
    fields: Object.fromEntries(violations.map((v) => [v.field, v.description])),
  };
}
