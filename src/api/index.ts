export type { ApiClient, ClientOptions, UpdateOptions } from './client.ts';
export { connect } from './client.ts';
export { type ApiFile, loadOrCreateToken, readApiFile, removeApiFile, writeApiFile } from './files.ts';
export { type ApiOptions, type ApiServer, startApi } from './server.ts';
export type * from './service.ts';
