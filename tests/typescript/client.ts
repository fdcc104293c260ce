// What a caller writes against the client that is made of the API's document; the test compiles and runs it.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

declare const process: { argv: string[] };

const jobs = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

const enqueued = await jobs.POST("/api/jobs", {
  body: { handler_name: "Send", job_name: "from TypeScript", payload: { to: "Ann" }, schedule: "PT1H" },
});
if (enqueued.error) throw new Error(`${enqueued.error.title}: ${enqueued.error.detail}`);

const path = { id: enqueued.data.id };
const paused = await jobs.POST("/api/jobs/{id}/pause", { params: { path }, body: { reason: "the shop is closed" } });
const read = await jobs.GET("/api/jobs/{id}", { params: { path } });
const listed = await jobs.GET("/api/jobs", { params: { query: { handler_name: ["Send"], limit: 10 } } });
const refused = await jobs.POST("/api/jobs", {
  body: { handler_name: "Send", job_name: "", payload: { to: "Ann" } },
});

console.log(
  JSON.stringify({
    enqueued: enqueued.response.status,
    status: read.data?.status,
    paused: paused.data?.paused,
    names: listed.data?.jobs.map((job) => job.job_name),
    refused: refused.error?.errors?.map((each) => each.pointer),
  }),
);
