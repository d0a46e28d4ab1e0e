// SPDX-License-Identifier: Apache-2.0
// Google's own clients in the words of node_of_suite.py. A job: {port, parent, token | info | (nothing: the metadata server), tokenUrl, list,
// filter, read: [names of versions]}. What goes wrong is told by the status of the service, or the words of the library.
'use strict';
const {SecretManagerServiceClient} = require('@google-cloud/secret-manager');
const {GoogleAuth, OAuth2Client, UserRefreshClient} = require('google-auth-library');

const SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

function authOf(job) {
	if (job.token) {
		const authClient = new OAuth2Client();
		authClient.setCredentials({access_token: job.token});
		return new GoogleAuth({authClient});
	}
	if (job.info && job.info.type === 'authorized_user') {
		const authClient = new UserRefreshClient({clientId: job.info.client_id, clientSecret: job.info.client_secret,
			refreshToken: job.info.refresh_token, endpoints: {oauth2TokenUrl: job.tokenUrl}});
		authClient.quotaProjectId = job.info.quota_project_id;
		return new GoogleAuth({authClient});
	}
	return new GoogleAuth({credentials: job.info, scopes: SCOPES});
}

function statusOf(e) {
	const text = String(e.message || e);
	try {
		return JSON.parse(text.slice(text.indexOf('{'))).error.status;
	} catch {
		return text;
	}
}

async function perform(job) {
	const client = new SecretManagerServiceClient({fallback: true, protocol: 'http', apiEndpoint: '127.0.0.1', port: job.port, auth: authOf(job)});
	const result = {};
	try {
		if (job.list)
			result.names = (await client.listSecrets({parent: job.parent, filter: job.filter}))[0].map((s) => s.name);
		for (const name of job.read || []) {
			const [answer] = await client.accessSecretVersion({name}, {retry: null});
			result.values = {...result.values, [name]: Buffer.from(answer.payload.data || '').toString('base64')};
			result.checksums = {...result.checksums, [name]: String(answer.payload.dataCrc32c)};
		}
	} catch (e) {
		result.error = statusOf(e);
	}
	await client.close();
	return result;
}

(async () => {
	const chunks = [];
	for await (const c of process.stdin)
		chunks.push(c);
	const results = [];
	for (const job of JSON.parse(Buffer.concat(chunks).toString()))
		results.push(await perform(job));
	console.log(JSON.stringify(results));
})();
