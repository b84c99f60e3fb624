import express from 'express';

/** What the seed's example calls `app`. */
export const app = express();
